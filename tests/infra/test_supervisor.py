"""A supervised command ends with its holder, and so does everything it started."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from data_contracts.failure import Failure
from infra.supervisor import STOP, release, supervised

FAMILY = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time;"
    " time.sleep(300)']);print(p.pid, flush=True); time.sleep(300)"
)


def gone(pid: int, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_the_exit_code_comes_through():
    child = supervised([sys.executable, "-c", "raise SystemExit(7)"])
    assert child.wait(30) == 7


@pytest.mark.parametrize("how", ["release", "kill"])
def test_children_and_grandchildren_end(how):
    child = supervised([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    grandchild = int(child.stdout.readline())
    if how == "release":
        release(child)
    else:
        os.kill(child.pid, signal.SIGTERM)
        child.wait(30)
    assert gone(grandchild)


def test_a_signal_before_the_command_is_not_lost():
    """The command is slow to start here: the signal comes while it does."""
    slow = (
        "import os, signal, subprocess, sys; import infra.supervisor as s;"
        "popen = subprocess.Popen\n"
        "def start(*a, **k):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return popen(*a, **k)\n"
        "subprocess.Popen = start\n"
        f"sys.argv = ['x', sys.executable, '-c', {FAMILY!r}]\n"
        "sys.exit(s.main())"
    )
    ended = subprocess.run([sys.executable, "-c", slow], stdin=subprocess.PIPE, timeout=60, check=False)
    assert ended.returncode > 128, "it did not die of the signal, its command did"


def test_a_killed_holder_takes_the_command_with_it():
    holder = (
        "import sys, time; from infra.supervisor import supervised; import subprocess;"
        f"c = supervised([sys.executable, '-c', {FAMILY!r}], stdout=subprocess.PIPE, text=True);"
        "print(c.stdout.readline(), flush=True); time.sleep(300)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True)
    grandchild = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert gone(grandchild)


def test_the_command_reads_what_its_holder_writes():
    echo = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
    child = supervised([sys.executable, "-c", echo], stdout=subprocess.PIPE, text=True, bufsize=1)
    for word in ("one", "two"):
        child.stdin.write(f"{word}\n")
        assert child.stdout.readline() == f"{word.upper()}\n"
    release(child)


def test_a_supervisor_that_is_stuck_is_ended_with_all_it_started():
    child = supervised([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    grandchild = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGSTOP)
    assert release(child, patience=0.2) == -signal.SIGKILL
    assert gone(grandchild)


@pytest.mark.parametrize(("seconds", "saved"), [("30", True), ("0.1", False)])
def test_the_environment_says_how_long_a_command_may_take_to_stop(monkeypatch, seconds, saved):
    """As a checkpoint that takes a second to write."""
    monkeypatch.setenv(STOP, seconds)
    writes = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (time.sleep(1), print('saved', flush=True), sys.exit(75)))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(60)\n"
    )
    child = supervised([sys.executable, "-c", writes], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    code = release(child)
    assert (code, child.stdout.read()) == ((75, "saved\n") if saved else (256 - signal.SIGTERM, ""))


@pytest.mark.parametrize("wrong", ["soon", "-1", "nan", "1e9"])
def test_no_number_of_seconds_is_refused(monkeypatch, wrong):
    monkeypatch.setenv(STOP, wrong)
    with pytest.raises(Failure, match=f"{STOP}={wrong}"):
        supervised(["true"])
