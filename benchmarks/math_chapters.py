"""Makes corpora/math.parquet, the text of profiles/small-math.yaml, from clones of seven openly licensed
books: `./rpt bench math_chapters FOLDER`, where FOLDER holds the clones by the names of their repositories.

A chapter is read at the commit that stands here, whatever is checked out.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.failure import Exit, Failure
from flows.workspace import ROOT

OUTPUT = Path("corpora") / "math.parquet"
DIGEST = "e2def96facf2bacc2e4ae6d3e5911e9b36f1122d94dfce33e68d952b4daa1eac"
"""SHA-256 of the chapters, sorted and put together."""
IMPORT = re.compile(
    r"^(?P<before>[^%\n]*)\\olimport(?:\[(?P<folder>[^\]]*)\])?\{(?P<name>[^}]*)\}", re.MULTILINE
)
"""How the Open Logic Text takes in another file, one a line, unless that is a comment."""
ELSEWHERE = "content/first-order-logic"
"""The part on propositional logic takes chapters of this part in too; they stay where they are."""


@dataclass(frozen=True)
class Book:
    """A repository, its commit and licence, and the chapters that are taken, without `.tex`."""

    repository: str
    commit: str
    licence: str
    chapters: str

    @property
    def paths(self) -> list[str]:
        """The file of each chapter. A part of the Open Logic Text is a folder with a file of its name."""
        names = self.chapters.split()
        parts = self.repository == "OpenLogicProject/OpenLogic"
        return [f"content/{name}/{name}.tex" if parts else f"{name}.tex" for name in names]


BOOKS = (
    Book(
        "HoTT/book",
        "578b85cc8d586b1677ec4335148adeb443057d24",
        "CC BY-SA 3.0",
        "equivalences formal induction introduction logic",
    ),
    Book(
        "OpenLogicProject/OpenLogic",
        "9620cc73f9c8e0ad003c514a5d3748f29611c4c0",
        "CC BY 4.0",
        "applied-modal-logic counterfactuals history intuitionistic-logic many-valued-logic methods "
        "propositional-logic second-order-logic",
    ),
    Book(
        "The-Clowder-Project/the-clowder-project",
        "57d14e285e9ee036a8573e1fcdb8d578d6311ad7",
        "GFDL 1.2",
        "conditions-on-relations constructions-with-monoidal-categories "
        "constructions-with-relations introduction presheaves-and-the-yoneda-lemma sets "
        "types-of-morphisms-in-bicategories",
    ),
    Book(
        "jirilebl/diffyqs",
        "afd4bb788c72216d6a5c8c7be5d713a9fb7d8d88",
        "CC BY-SA 4.0",
        "ch-eigenvalue-probs ch-intro ch-laplace ch-power-ser",
    ),
    Book(
        "jirilebl/ra",
        "e21ec524ca7d54f800c693b948020c188d21d01f",
        "CC BY-SA 4.0",
        "ch-der ch-one-dim-ints-sv ch-real-nums ch-seq-funcs ch-vol1-intro",
    ),
    Book(
        "rzach/forallx-yyc",
        "cb703f76ae13ed6887c5169a1c3e015bc465c7cb",
        "CC BY 4.0",
        "forallx-yyc-interpretations forallx-yyc-metatheory forallx-yyc-ml forallx-yyc-prooffol "
        "forallx-yyc-tfl forallx-yyc-truthtables forallx-yyc-what",
    ),
    Book(
        "stacks/stacks-project",
        "4ac4815d5a00dc2eacab7824cf4e4baafe2773ac",
        "GFDL 1.2",
        "algebraic brauer functors groupoids-quotients guide pic sets spaces-duality "
        "spaces-more-groupoids spaces-topologies stacks-introduction stacks-limits stacks-perfect",
    ),
)


def text_of(clone: Path, book: Book, path: str) -> str:
    """A file of a book at its commit, line ends as LF, no blank line before and after it.

    Raises:
        Failure: (exit code 2) if the clone does not have it.
    """
    told = subprocess.run(
        ["git", "-C", clone, "show", f"{book.commit}:{path}"], capture_output=True, check=False
    )
    if told.returncode:
        remedy = f"git clone https://github.com/{book.repository} {clone}"
        raise Failure(f"{path} of {book.repository}", told.stderr.decode()[:300].strip(), remedy, Exit.USAGE)
    return told.stdout.decode().replace("\r\n", "\n").strip("\n") + "\n"


def chapter(clone: Path, book: Book, path: str, whole: bool = True) -> str:
    """A chapter with the files that it takes in, each in its place; what a chapter that is `whole` takes from
    `ELSEWHERE` is left as a command.
    """
    here = posixpath.dirname(path)

    def put(found: re.Match[str]) -> str:
        folder = posixpath.normpath(posixpath.join(here, found["folder"] or "."))
        if whole and folder.startswith(ELSEWHERE):
            return found[0]
        return found["before"] + "\n" + chapter(clone, book, f"{folder}/{found['name']}.tex", whole=False)

    return IMPORT.sub(put, text_of(clone, book, path)).strip("\n") + "\n"


def main(folder: Path) -> None:
    """Write the file, or refuse to if a chapter is not the one that was trained on."""
    rows = [
        {
            "source": f"{book.repository}/{path}",
            "license": book.licence,
            "text": chapter(folder / book.repository.split("/")[1], book, path),
        }
        for book in BOOKS
        for path in book.paths
    ]
    digest = hashlib.sha256("".join(sorted(row["text"] for row in rows)).encode()).hexdigest()
    if digest != DIGEST:
        cause = f"their SHA-256 is {digest[:12]}..., that of the kept figures' text is {DIGEST[:12]}..."
        raise Failure("the chapters are other text", cause, "clone the books anew", Exit.CONTRACT)
    (ROOT / OUTPUT).parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), ROOT / OUTPUT)
    print(f"{OUTPUT}: {len(rows)} chapters, {sum(len(row['text']) for row in rows):,} characters")  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: ./rpt bench {Path(__file__).stem} FOLDER")
    try:
        main(Path(sys.argv[1]).absolute())
    except Failure as failure:
        sys.exit(f"error: {failure.what}\n  cause:  {failure.cause}\n  remedy: {failure.remedy}")
