"""Files of this machine by path, folder or glob, links followed. A name that is there is never taken for a
pattern.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

Pattern = tuple[str, ...]
EVERYTHING: Pattern = ("**", "*")
MARKS = set("*?[")


@dataclass(frozen=True)
class Entry:
    """A file, with its name relative to the source; or with `refusal`, (reason, detail), something that is no
    file to read.
    """

    name: str
    path: str
    refusal: tuple[str, str] | None = None


def local_entries(source: str) -> list[Entry]:
    """What a path, a folder or a glob names.

    Raises:
        OSError: if a folder may not be read.
    """
    place = os.path.abspath(os.path.expanduser(source))
    if os.path.isdir(place):
        return list(_below(place, "", {EVERYTHING}, frozenset()))
    if os.path.lexists(place):
        return [_file(place, os.path.basename(place))]
    parts = place.split(os.sep)
    known = next(
        number for number in range(1, len(parts)) if not os.path.lexists(os.sep.join(parts[: number + 1]))
    )
    folder, pattern = os.sep.join(parts[:known]) or os.sep, tuple(parts[known:])
    if not os.path.isdir(folder) or not MARKS & set(pattern[0]):
        return []
    return list(_below(folder, "", {(*pattern, "*") if pattern[-1] == "**" else pattern}, frozenset()))


def _below(folder: str, name: str, patterns: set[Pattern], above: frozenset[str]) -> Iterator[Entry]:
    """What matches one of `patterns` below `folder`, whose name is `name`; `above` are the real places of the
    folders it lies in.
    """
    here = os.path.realpath(folder)
    if here in above:
        yield Entry(
            _readable(name),
            folder,
            ("not_data", "a link to a folder that it lies in, whose files are read there"),
        )
        return
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        inner = f"{name}/{entry.name}" if name else entry.name
        is_folder, left = os.path.isdir(entry.path), _after(entry.name, patterns)
        wanted = left - {()} if is_folder else left & {()}
        if not wanted:
            continue
        if entry.name.startswith(".") and not any(pattern[0].startswith(".") for pattern in patterns):
            yield Entry(
                _readable(inner), entry.path, ("not_data", f"a hidden {'folder' if is_folder else 'file'}")
            )
        elif is_folder:
            yield from _below(entry.path, inner, wanted, above | {here})
        else:
            yield _file(entry.path, inner)


def _after(name: str, patterns: set[Pattern]) -> set[Pattern]:
    """What the parts behind `name` must match; an empty pattern says that nothing may follow. `**` stands for
    any number of folders.
    """
    left, waiting = set[Pattern](), list(patterns)
    while waiting:
        pattern = waiting.pop()
        first, rest = pattern[0], pattern[1:]
        if first == "**":
            left.add(pattern)
            waiting.append(rest)
        elif name == first or fnmatchcase(name, first) or fnmatchcase(name, first.replace("[", "[[]")):
            left.add(rest)
    return left


def _file(path: str, name: str) -> Entry:
    if os.path.isfile(path):
        return Entry(_readable(name), path)
    detail = "a link that leads nowhere" if os.path.islink(path) else "neither a file nor a folder"
    return Entry(_readable(name), path, ("unreadable", detail))


def _readable(name: str) -> str:
    """A name of a disk may hold any bytes; those that are not UTF-8 are written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
