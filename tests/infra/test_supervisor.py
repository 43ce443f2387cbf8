"""A supervised command ends with its holder, and so does everything it started."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from infra.supervisor import release, supervised

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
