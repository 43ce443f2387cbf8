"""Equal meaning, equal digest: what makes a stage stale and what does not, on a small copy of a house."""

from pathlib import Path

import pytest

from stages.code_identity import closure, code_digest, meaning

HOUSE = {
    "stages/__init__.py": "",
    "stages/messages.py": "LOUD = 1\n",
    "stages/mining.py": """
import json
from stages import messages
from model import bm25

def mine():
    from stages.late import K
    return K
""",
    "stages/late.py": "K = 3\n",
    "stages/packing.py": "WIDTH = 4\n",
    "model/__init__.py": "",
    "model/bm25.py": 'from typing import NamedTuple\n\nclass Weights(NamedTuple):\n    """Two numbers."""\n\n    k: float = 1.5\n',
    "model/griffin.py": "DECAY = 8\n",
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name, text in HOUSE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edited(house: Path, name: str, old: str, new: str) -> bool:
    """Whether the digest of mining changes when `old` becomes `new` in file `name`."""
    before = code_digest(house, "stages.mining")
    text = (house / name).read_text()
    assert old in text
    (house / name).write_text(text.replace(old, new, 1))
    return code_digest(house, "stages.mining") != before


def test_the_closure_holds_packages_and_imports_inside_functions_and_no_more(house):
    names = {path.relative_to(house).as_posix() for path in closure(house, "stages.mining")}
    assert names == set(HOUSE) - {"stages/packing.py", "model/griffin.py"}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("stages/mining.py", "import json", "# why\nimport json"),
        ("stages/mining.py", "def mine():", 'def mine() -> int:\n    """Mine."""\n'),
        ("model/bm25.py", "Two numbers.", "One number."),
        ("stages/packing.py", "4", "5"),
        ("model/griffin.py", "8", "9"),
        ("stages/messages.py", "1", "2"),
    ],
    ids=["comment", "docstring and result type", "docstring of a class", "other stage", "other system", "runner"],
)
def test_what_changes_no_result_changes_no_digest(house, name, old, new):
    assert not edited(house, name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("stages/late.py", "3", "4"), ("model/bm25.py", "1.5", "1.2"), ("model/bm25.py", "k: float", "k: int")],
    ids=["constant imported inside a function", "default of a field", "type of a field"],
)
def test_what_changes_a_result_changes_the_digest(house, name, old, new):
    assert edited(house, name, old, new)


def test_a_system_counts_only_where_it_is_named(house):
    without, with_griffin = (code_digest(house, "stages.mining", *more) for more in ((), ("model.griffin",)))
    (house / "model/griffin.py").write_text("DECAY = 9\n")
    assert code_digest(house, "stages.mining") == without
    assert code_digest(house, "stages.mining", "model.griffin") != with_griffin


def test_annotations_of_local_names_say_nothing_and_those_of_a_class_inside_a_function_do():
    assert meaning("def f(a):\n    x: int = 1") == meaning("def f(a: str):\n    x: float = 1")
    assert meaning("def f():\n    class A:\n        x: int") != meaning("def f():\n    class A:\n        x: str")


def test_an_unknown_module_is_refused(house):
    with pytest.raises(ValueError, match=r"stages\.mine"):
        code_digest(house, "stages.mine")
