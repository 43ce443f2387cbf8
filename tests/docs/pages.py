"""The pages of the documentation: their blocks, what each block needs, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("docs/files.md", "docs/commands.md", "docs/report.schema.json", "docs/results.md")
DATED = ("docs/log.md",)
"""Pages that say what was run on a day, with the commands of that day."""
NEEDS = re.compile(r"\*Needs: (.+)\.\*")
STAND_INS = {"COMMAND": "status", "N": "37"}
"""Words in capitals of commands in a sentence that must be something to be understood. Other capitals are
names to be filled in.
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. `needs` is what stands in the line above it: what a plain machine lacks,
    empty if that is nothing.
    """

    page: str
    language: str
    text: str
    needs: str = ""


@dataclass(frozen=True)
class Command:
    """A command of a page as the shell would split it."""

    page: str
    words: tuple[str, ...]
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def names() -> list[str]:
    """All pages, from the root of the checkout."""
    return [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
    ]


def text_of(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str = "") -> list[Block]:
    """The fenced blocks of a page, all or those in one language."""
    found, lines, above, inside = [], list[str](), "", None
    for line in text_of(page).splitlines():
        if line.startswith("```") and inside is None:
            inside, lines = line[3:], []
        elif line.startswith("```"):
            found.append(Block(page, str(inside), "\n".join(lines) + "\n", above))
            inside, above = None, ""
        elif inside is not None:
            lines.append(line)
        elif line.strip():
            needs = NEEDS.fullmatch(line)
            above = needs[1] if needs else ""
    return [block for block in found if language in ("", block.language)]


def without_blocks(page: str) -> str:
    """The sentences and tables of a page."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def split(line: str) -> list[tuple[str, ...]]:
    """The commands of a line of shell, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";&|"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [tuple(command) for command in commands if command]


def shell_commands(page: str) -> list[Command]:
    """The commands of all shell blocks of a page."""
    lines = [
        (line, block.needs)
        for block in blocks(page, "sh")
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    return [Command(page, words, needs) for line, needs in lines for words in split(line)]


def inline_commands(page: str) -> list[Command]:
    """The commands `./rpt ...` in the sentences of a page."""
    said = re.findall(r"`(\./rpt [^`]+)`", without_blocks(page))
    return [
        Command(page, tuple(STAND_INS.get(word, word) for word in words if word != "..."))
        for line in said
        for words in split(line)
    ]
