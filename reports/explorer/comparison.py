"""Which reading is shown and which it is compared with, and the bar in which a person chooses them."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from data_contracts.evaluations import ORACLE, OWN, WITHOUT
from reports.explorer.address import Look
from reports.explorer.library import Library
from reports.explorer.run import Reading
from reports.html.markup import Html, clipped, tag
from reports.site.address import refused

T = TypeVar("T")
NAME = 80
KEPT = ("find", "split", "sort", "colour", "by", "full")


class Comparison(NamedTuple):
    """What is shown, and what it is compared with."""

    show: Reading
    against: Reading


def comparison_of(library: Library, look: Look) -> Comparison:
    """The two readings of an address, or those that the library shows first.

    Raises:
        Failure: (exit code 2) if there is no such reading.
    """
    show = _reading(library, "show", look.show) or library.shown()
    return Comparison(show, _reading(library, "against", look.against) or library.compared_with(show))


def _reading(library: Library, name: str, text: str) -> Reading | None:
    if not text:
        return None
    known = {str(reading): reading for reading in library.readings}
    if text not in known:
        raise refused(name, text, f"no run was evaluated so; there are {clipped(', '.join(known), 1000)}")
    return known[text]


def bar(library: Library, look: Look, path: str, compared: Comparison) -> Html:
    """The choice of both readings as a form, and the keys that change one of them; the chunk that is looked
    at stays.
    """
    boxes = [_box(library, name, reading) for name, reading in compared._asdict().items()]
    hidden = [
        tag("input", type="hidden", name=name, value=value) for name in KEPT if (value := getattr(look, name))
    ]
    hidden += [tag("input", type="hidden", name="c", value=look.c)] if look.c is not None else []
    ways = [
        _way(words, key, look, path, *changed)
        for words, key, changed in _changes(library, compared)
        if changed != compared
    ]
    return tag(
        "form",
        "Show ",
        boxes[0],
        " against ",
        boxes[1],
        *hidden,
        tag("button", "Compare"),
        *ways,
        action=path,
        class_="filters compared",
    )


def _box(library: Library, name: str, chosen: Reading) -> Html:
    options = [
        tag(
            "option",
            clipped(str(reading), NAME),
            value=str(reading),
            selected="" if reading == chosen else None,
        )
        for reading in library.readings
    ]
    return tag(
        "select",
        *options,
        name=name,
        aria_label={"show": "What is shown", "against": "What it is compared with"}[name],
    )


def _changes(library: Library, compared: Comparison) -> list[tuple[str, str, tuple[Reading, Reading]]]:
    """What the keys lead to."""
    show, against = compared
    system = Reading(_after(list(library.runs), show.run))
    setting = _after(library.runs[show.run].readings, show)
    usual = [Reading(run.name) for run in library.runs.values()]
    usual += [reading for reading in library.runs[show.run].readings if reading.setting in (WITHOUT, ORACLE)]
    return [
        ("next system", "s", (system, against)),
        ("next setting", "e", (setting, against)),
        ("compare with next", "a", (show, _after([one for one in usual if one != show], against))),
        ("exchange", "x", (against, show)),
    ]


def _after(known: list[T], one: T) -> T:
    return known[(known.index(one) + 1) % len(known)] if one in known else next(iter(known), one)


def _way(words: str, key: str, look: Look, path: str, show: Reading, against: Reading) -> Html:
    return tag(
        "a",
        words,
        tag("kbd", key),
        href=look.link(path, show=str(show), against=str(against), c=look.c),
        data_key=key,
    )


def name_of(reading: Reading) -> Html:
    """A reading as text."""
    setting = [] if reading.setting == OWN else [" ", tag("span", reading.setting, class_="split")]
    return tag("span", tag("bdi", clipped(reading.run, NAME)), *setting, class_="reading")
