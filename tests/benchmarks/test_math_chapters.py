"""The chapters of profiles/small-math.yaml: files of a clone at a commit, with what they take in."""

import subprocess

import pytest

from benchmarks.math_chapters import BOOKS, Book, chapter
from data_contracts.failure import Failure

PART = "content/logic/logic.tex"
FILES = {
    PART: "\nBegin\n\\olimport[deduction]{deduction}\n%\\olimport{lost}\n"
    "\\olimport[../first-order-logic/models]{models}\nEnd\n\n",
    "content/logic/deduction/deduction.tex": (
        "Rules\r\n\\olimport{proofs}\r\n\\olimport[../../first-order-logic]{sets}\r\n"
    ),
    "content/logic/deduction/proofs.tex": "Proofs\n",
    "content/first-order-logic/sets.tex": "Sets\n",
}


@pytest.fixture
def clone(tmp_path):
    """A clone in which these files are committed and then changed; and the commit."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false", "-C", tmp_path]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / PART).write_text("later")
    return tmp_path, subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()


def test_a_chapter_is_that_of_its_commit_with_what_it_takes_in(clone):
    place, commit = clone
    book = Book("OpenLogicProject/OpenLogic", commit, "CC BY 4.0", "logic")
    assert book.paths == [PART]
    assert chapter(place, book, PART) == (
        "Begin\n\nRules\n\nProofs\n\n\nSets\n\n%\\olimport{lost}\n"
        "\\olimport[../first-order-logic/models]{models}\nEnd\n"
    )


def test_a_clone_that_lacks_a_chapter_is_refused(clone):
    place, commit = clone
    with pytest.raises(Failure, match=r"none\.tex") as raised:
        chapter(place, Book("a/b", commit, "", "none"), "none.tex")
    assert "git clone https://github.com/a/b" in raised.value.remedy


def test_the_profile_names_49_chapters_of_seven_books():
    assert [len(book.paths) for book in BOOKS] == [5, 8, 7, 4, 5, 7, 13]
