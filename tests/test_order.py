"""The order in which files of tests begin, and that a run learns it from the one before."""

import os
import subprocess
import sys

from tests.order import place
from tests.pipelines import ROOT


def test_parts_have_an_order_and_in_a_part_the_longest_begin():
    seconds = {"tests/model/test_b.py": 2.0, "tests/model/test_c.py": 3.0, "tests/docs/test_d.py": 9.0}
    tests = [
        f"tests/{name}.py::test" for name in ("docs/test_d", "model/test_a", "model/test_b", "model/test_c")
    ]
    assert sorted(tests, key=lambda test: place(test, seconds)) == tests[::-1]


def test_a_run_begins_with_what_took_longest_in_the_last_and_its_processes_agree(tmp_path):
    home = tmp_path / "tests"
    home.mkdir()
    (home / "order.py").write_text((ROOT / "tests" / "order.py").read_text())
    for name, seconds in {"a": 0.0, "b": 0.2}.items():
        lines = (
            "import time",
            f"def test():\n    open('begun', 'a').write('{name}')",
            f"    time.sleep({seconds})",
        )
        (home / f"test_{name}.py").write_text("\n".join(lines))
    for processes in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "tests.order", "-n", processes, "tests"],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(tmp_path)},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "begun").read_text() == "abba"
