"""Equal meaning, equal digest: what makes a stage stale and what does not, on a small copy of a house."""

from pathlib import Path

import pytest

from data_contracts.failure import Failure
from stages.identity import code_identity
from stages.identity.code_identity import CACHE, Code, code_digest
from stages.identity.code_meaning import meaning

HOUSE = {
    "stages/__init__.py": "",
    "stages/runner/messages.py": "from model import sound\nLOUD = 1\n",
    "model/sound.py": "VOLUME = 11\n",
    "reports/html/style.py": "CSS = 'a { color: red }'\n",
    "reports/html/frame.py": "from reports.html import style\n",
    "stages/mining/mining.py": (
        """
import json
from stages.runner import messages
from model import bm25
from reports.html.frame import page

def mine():
    from stages.late import K
    return K
"""
    ),
    "stages/late.py": "K = 3\n",
    "stages/supervision/packing.py": "WIDTH = 4\n",
    "model/__init__.py": "",
    "model/bm25.py": (
        'from typing import NamedTuple\n\nclass Weights(NamedTuple):\n    """Two numbers."""\n\n    k: float'
        " = 1.5\n"
    ),
    "model/griffin.py": "DECAY = 8\n",
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name, text in HOUSE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edited(house: Path, name: str, old: str, new: str) -> bool:
    """Whether the digest of mining changes when `old` becomes `new` in file `name`."""
    before = code_digest(house, "stages.mining.mining")
    text = (house / name).read_text()
    assert old in text
    (house / name).write_text(text.replace(old, new, 1))
    return code_digest(house, "stages.mining.mining") != before


def test_the_closure_holds_packages_and_imports_inside_functions_and_no_more(house):
    left_out = {
        "stages/__init__.py",
        "stages/runner/messages.py",
        "model/sound.py",
        "stages/supervision/packing.py",
        "model/griffin.py",
        "reports/html/style.py",
    }
    assert list(Code(house).files("stages.mining.mining")) == sorted({*HOUSE} - left_out)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("stages/mining/mining.py", "import json", "# why\nimport json"),
        ("stages/mining/mining.py", "def mine():", 'def mine() -> int:\n    """Mine."""\n'),
        ("model/bm25.py", "Two numbers.", "One number."),
        ("stages/supervision/packing.py", "4", "5"),
        ("model/griffin.py", "8", "9"),
        ("stages/runner/messages.py", "1", "2"),
        ("reports/html/style.py", "red", "blue"),
    ],
    ids=[
        "comment",
        "docstring and result type",
        "docstring of a class",
        "other stage",
        "other system",
        "runner",
        "style sheet",
    ],
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
    without, with_griffin = (
        code_digest(house, "stages.mining.mining", *more) for more in ((), ("model.griffin",))
    )
    (house / "model/griffin.py").write_text("DECAY = 9\n")
    assert code_digest(house, "stages.mining.mining") == without
    assert code_digest(house, "stages.mining.mining", "model.griffin") != with_griffin


def test_an_unknown_module_is_refused(house):
    with pytest.raises(ValueError, match=r"stages\.mine"):
        code_digest(house, "stages.mine")


def test_a_file_that_is_not_python_is_named(house):
    (house / "stages/late.py").write_text("K = 1\nK =\n")
    with pytest.raises(Failure, match=r"stages/late\.py cannot be run.*line 2"):
        code_digest(house, "stages.mining.mining")


def test_what_was_read_is_not_read_again_until_it_changes(house, monkeypatch):
    read = list[str]()
    monkeypatch.setattr(code_identity, "meaning", lambda source: (read.append(source), meaning(source))[1])
    first = code_digest(house, "stages.mining.mining")
    assert len(read) == 5
    assert code_digest(house, "stages.mining.mining") == first
    assert len(read) == 5
    (house / "stages/late.py").write_text("K = 33\n")
    assert code_digest(house, "stages.mining.mining") != first
    assert read[5:] == ["K = 33\n"]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"files": {"stages/late.py": [1]}}', b'{"version": 1, "files": {}}']
)
def test_a_damaged_cache_is_no_cache(house, damage):
    first = code_digest(house, "stages.mining.mining")
    (house / CACHE).write_bytes(damage)
    assert code_digest(house, "stages.mining.mining") == first
    assert code_digest(house, "stages.mining.mining") == first
