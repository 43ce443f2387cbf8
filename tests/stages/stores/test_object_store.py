"""An object is created once, whatever becomes of answers; what cannot be done ends with a Failure that names
the URL.
"""

import sys
import types

import pytest

from data_contracts.failure import Exit, Failure
from stages.stores import object_store as module
from stages.stores.object_store import ObjectStore


@pytest.fixture
def store(gcs) -> ObjectStore:
    return ObjectStore("gs://bucket/some/prefix")


@pytest.fixture
def no_waiting(monkeypatch):
    """gcsfs asks as often as it does, without waiting between."""

    async def at_once(seconds):
        pass

    monkeypatch.setattr("gcsfs.retry.asyncio", types.SimpleNamespace(sleep=at_once))


def test_objects_are_created_once_listed_read_and_deleted(gcs, store, tmp_path):
    assert store.sizes() == {}
    assert store.put_if_absent("b/2", b"two")
    assert not store.put_if_absent("b/2", b"other")
    assert store.put_if_absent("a", b"one!")
    assert store.sizes() == {"a": 4, "b/2": 3}
    assert store.sizes("b") == {"b/2": 3}
    places = [tmp_path / name for name in ("a", "2", "none")]
    assert store.fetch(["a", "b/2", "c"], places) == [True, True, False]
    assert [place.read_bytes() for place in places[:2]] == [b"one!", b"two"]
    assert sorted(tmp_path.iterdir()) == sorted(places[:2])
    store.delete("a")
    store.delete("a")
    assert gcs.objects() == {"some/prefix/b/2": b"two"}


def test_a_busy_store_is_asked_again_and_a_lost_answer_doubles_nothing(gcs, store, tmp_path, no_waiting):
    outcomes = ["429", "503", "lost"]
    gcs.plan = lambda method, name, number: outcomes.pop(0) if outcomes else None
    assert not store.put_if_absent("a", b"one"), "the third request made it, the fourth found it there"
    assert gcs.objects() == {"some/prefix/a": b"one"}
    assert gcs.seen["412"] == 1
    outcomes += ["503", "lost", "429"]
    assert store.fetch(["a"], [tmp_path / "a"]) == [True]
    outcomes += ["lost", "429"]
    store.delete("a")
    assert gcs.objects() == {}


@pytest.mark.parametrize("call", ["sizes", "fetch", "put", "delete"])
def test_a_store_that_stays_busy_is_given_up(gcs, store, tmp_path, no_waiting, call):
    gcs.plan = lambda method, name, number: "503"
    with pytest.raises(Failure, match=r"gs://bucket/some/prefix.*503.*check the network") as failure:
        {
            "sizes": lambda: store.sizes(),
            "fetch": lambda: store.fetch(["a"], [tmp_path / "a"]),
            "put": lambda: store.put_if_absent("a", b"one"),
            "delete": lambda: store.delete("a"),
        }[call]()
    assert failure.value.code == Exit.ENVIRONMENT
    assert gcs.seen["503"] == 6
    assert list(tmp_path.iterdir()) == []


def test_a_request_without_an_answer_ends_and_is_not_repeated(gcs, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.5)
    gcs.plan = lambda method, name, number: "hang"
    with pytest.raises(Failure, match=r"gs://bucket/other: a cannot be written.*Timeout.*run again"):
        ObjectStore("gs://bucket/other").put_if_absent("a", b"one")
    assert gcs.seen["hang"] == 1


def test_what_may_not_be_done_says_which_right_is_lacking(gcs, store):
    gcs.plan = lambda method, name, number: "403"
    with pytest.raises(Failure, match=r"Forbidden.*roles/storage\.objectUser"):
        store.put_if_absent("a", b"one")
    assert gcs.seen["403"] == 1
    gcs.plan = lambda method, name, number: None
    with pytest.raises(Failure, match=r"gs://absent.*create the bucket"):
        ObjectStore("gs://absent/x").sizes()


def test_a_store_whose_package_is_not_installed_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(Failure, match=r"s3://bucket/x: cannot be opened.*s3fs.*install"):
        ObjectStore("s3://bucket/x")
