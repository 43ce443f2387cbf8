"""A stage ends with the exit code that its last line says, whatever it died of."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_contracts.failure import Exit, Failure
from stages import __main__ as stage_process

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Iterator[Callable[..., tuple[int, dict]]]:
    """(exit code, last line) of a stage in this process."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str) -> tuple[int, dict]:
        code = stage_process.main(list(arguments))
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "arguments", [(), ("chunking",), ("no_such_stage", "demo"), ("chunking", "no_such_corpus")]
)
def test_a_wrong_call_is_one_of_usage(run, arguments):
    code, said = run(*arguments)
    assert code == said["code"] == Exit.USAGE
    assert said["remedy"]


@pytest.mark.parametrize(
    ("error", "code", "retry"),
    [
        (Failure("the labels", "they are corrupt", "run again", Exit.CONTRACT), Exit.CONTRACT, False),
        (Failure("a worker", "it was lost", "run again", Exit.INTERRUPTED), Exit.INTERRUPTED, True),
        (KeyboardInterrupt(), Exit.INTERRUPTED, False),
        (ZeroDivisionError("division by zero"), Exit.STAGE_FAILED, False),
    ],
    ids=["contract", "lost worker", "signal", "bug"],
)
def test_the_code_is_that_of_what_went_wrong(run, monkeypatch, error, code, retry):
    def dies(*_: object) -> None:
        raise error

    monkeypatch.setattr(stage_process, "run_stage", dies)
    ended, said = run("chunking", "demo")
    assert (ended, said["code"], said["retry"]) == (code, code, retry)
    assert {"what", "cause", "remedy"} <= set(said)


def test_a_stage_that_is_done_says_so(run, monkeypatch):
    monkeypatch.setattr(stage_process, "run_stage", lambda *_: None)
    assert run("chunking", "demo") == (Exit.DONE, {"event": "outcome", "code": Exit.DONE})
