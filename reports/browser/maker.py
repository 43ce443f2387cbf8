"""Who made a label set: a panel of what the run wrote down beside it."""

from __future__ import annotations

from collections.abc import Sequence

from reports.browser.made import Maker
from reports.html.formats import count
from reports.html.markup import Html, clipped, tag
from reports.site import layout

UNKNOWN = (
    "No run on this machine wrote down who made these labels: they came from elsewhere, or were made before"
    " runs did so."
)


def panel(names: Sequence[str], makers: Sequence[Maker | None], tokens: Sequence[float | None]) -> Html:
    """The makers of label sets, with the tokens that a scorer reads for all pairs where that is known."""
    parts = list[Html]()
    for name, maker, read in zip(names, makers, tokens, strict=True):
        parts += [tag("h3", tag("bdi", clipped(name, layout.NAME)))] if len(names) > 1 else []
        parts.append(layout.fact_list(_facts(maker, read)) if maker else tag("p", UNKNOWN, class_="note"))
    return tag("details", tag("summary", "Who made these labels"), *parts, class_="made")


def _facts(maker: Maker, tokens: float | None) -> list[tuple[str, str]]:
    speed = []
    if tokens and maker.seconds:
        words = (
            f"{count(round(tokens / maker.seconds))} over the whole stage; fewer if pairs were known before"
        )
        speed = [("tokens a second", words)]
    return [
        ("stage", maker.stage),
        ("made", maker.at),
        ("commit", maker.commit),
        ("machine", maker.machine),
        ("seconds", f"{maker.seconds:,.1f}"),
        ("progress", maker.progress or "nothing was said"),
        *speed,
        ("versions", ", ".join(f"{name} {version}" for name, version in maker.versions.items())),
        *maker.parameters.items(),
    ]
