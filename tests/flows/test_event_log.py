"""The log of a run is followed as it grows, and from one run to the next."""

from flows.event_log import EventLog, Follower


def names(follow: Follower) -> list[str]:
    return [event["event"] for event in follow()]


def test_every_event_comes_once_and_no_half_one(tmp_path):
    path = tmp_path / "events.jsonl"
    follow = Follower(path)
    assert names(follow) == []
    heard: list[dict] = []
    log = EventLog(heard.append, path)
    log("plan", stages=[])
    assert names(follow) == ["log", "plan"]
    whole = '{"event": "line", "text": "é"}\n'.encode()
    with open(path, "ab", buffering=0) as file:
        file.write(whole[:-4])
        assert names(follow) == []
        file.write(whole[-4:])
    assert names(follow) == ["line"]
    assert names(follow) == []
    assert heard == [{"event": "plan", "stages": []}]


def test_the_log_of_the_next_run_is_read_after_the_end_of_the_last(tmp_path):
    path = tmp_path / "events.jsonl"
    first = EventLog(path=path)
    first("plan")
    follow = Follower(path)
    assert names(follow) == ["log", "plan"]
    first("finish")
    EventLog(path=path)("plan")
    assert names(follow) == ["finish", "log", "plan"]


def test_what_was_there_is_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path=path)
    log("plan")
    follow = Follower(path, skip=True)
    assert names(follow) == []
    log("finish")
    assert names(follow) == ["finish"]
