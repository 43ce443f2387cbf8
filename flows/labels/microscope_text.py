"""One query of a label set for a terminal, its target coloured by what a candidate does to each token."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from flows.terminal.label_text import excerpt, line, signed
from flows.terminal.screen import Cell, block, console, note, table
from reports.html.terminal_text import shown, written

# Nats from which on a gain has the next colour: blue where the candidate helps, orange where it hurts. Each
# names its ground and its letters, so that it can be read whatever the colours of the terminal are.
STEPS = (0.1, 0.5, 1.5)
HELPS = ("#10222e on #cfe6f5", "#10222e on #7dbfe8", "#ffffff on #0072b2")
HURTS = ("#33200a on #fbe3c8", "#33200a on #f0a860", "#ffffff on #b34700")
HELPS_16 = ("cyan", "black on cyan", "bold white on blue")
HURTS_16 = ("yellow", "black on yellow", "bold white on red")
NAMED = 5


def print_view(view: dict[str, Any], by: str, texts: int) -> None:
    """What `flows.labels.microscope.look` returns, with its `gains` if it has any; `texts` candidates with
    their text, figures of all.
    """
    screen = console()
    query, candidates = view["query_chunk"], view["candidates"]
    screen.print(Text(f"{line(view['doc_id'])}:{query}  {view['split']}  {line(view['source'])}", "bold"))
    screen.print(Text(f"\nquery, chunk {query} of {view['chunks']}", "bold"))
    block(screen, Text(shown(view["query"])))
    screen.print(
        Text(
            f"\ntarget, chunk {query + 1}; {signed(view['local_logprob'])} nats given its local context",
            "bold",
        )
    )
    _print_target(screen, view)
    order = "s_t" if by == "score" else "BM25"
    screen.print(
        Text(f"\n{len(candidates)} candidate{'s' if len(candidates) > 1 else ''} by {order}", "bold")
    )
    _print_figures(screen, candidates, query)
    for candidate in candidates[:texts]:
        chunk = candidate["candidate_chunk"]
        screen.print(
            Text(
                f"\nrank {candidate['rank']}, s_t {signed(candidate['target_score'])}: chunks {chunk} and"
                f" {chunk + 1}",
                "bold",
            )
        )
        block(screen, Text(shown(candidate["text"])))
        screen.print()
        block(screen, Text(shown(candidate["continuation"])))
    if len(candidates) > texts:
        note(screen, f"\n--candidates {len(candidates)} shows the texts of all")


def _print_figures(screen: Console, candidates: list[dict[str, Any]], query: int) -> None:
    rows = []
    for candidate in candidates:
        score, chunk = candidate["target_score"], candidate["candidate_chunk"]
        cells: list[Cell] = [
            str(candidate["rank"]),
            f"{candidate['bm25']:.2f}",
            Text(signed(score), "bold" if score > 0 else ""),
        ]
        rows.append(
            [
                *cells,
                str(chunk),
                str(query - chunk),
                excerpt(candidate["text"] + candidate["continuation"], screen.is_terminal),
            ]
        )
    table(screen, ["rank", "bm25", "s_t", "chunk", "before", "text"], rows, left=(5,))


def _print_target(screen: Console, view: dict[str, Any]) -> None:
    gains = view.get("gains", {})
    tokens = gains.get("tokens")
    if not tokens:
        block(screen, Text(shown(view["target"])))
        if gains:
            note(screen, f"without gains of tokens: {line(gains['missing'])}")
        return
    block(screen, _coloured(screen, tokens))
    total = sum(token["gain"] for token in tokens)
    screen.print(
        f"the candidate of rank {gains['rank']} makes it {abs(total):.2f} nats"
        f" {'more' if total > 0 else 'less'} likely"
    )
    for name, sign in (("helps", 1), ("hurts", -1)):
        note(screen, f"{name} most: {_named(tokens, sign, screen.is_terminal)}")
    if screen.color_system:
        values = [sign * step for sign, steps in ((-1, STEPS[::-1]), (1, STEPS)) for step in steps]
        legend = [part for value in values for part in ((f" {value:+g} ", _style(screen, value)), " ")]
        screen.print(Text.assemble("colours from ", *legend, "nats a token"))


def _named(tokens: list[dict[str, Any]], sign: int, squeezed: bool) -> str:
    """The tokens, each text once, that gain (or for -1 lose) most."""
    order = sorted(
        (token for token in tokens if sign * token["gain"] > 0), key=lambda token: -sign * token["gain"]
    )
    first = dict[str, float]()
    for token in order:
        first.setdefault(token["text"], token["gain"])
    return (
        "  ".join(f"«{excerpt(text, squeezed)}» {signed(gain)}" for text, gain in list(first.items())[:NAMED])
        or "nothing"
    )


def _coloured(screen: Console, tokens: list[dict[str, Any]]) -> Text:
    characters, text, begin = written("".join(token["text"] for token in tokens)), Text(), 0
    for token in tokens:
        end = begin + len(token["text"])
        text.append("".join(characters[begin:end]), _style(screen, token["gain"]))
        begin = end
    return text


def _style(screen: Console, gain: float) -> str:
    passed = sum(abs(gain) >= step for step in STEPS)
    few = screen.color_system == "standard"
    helps, hurts = (HELPS_16, HURTS_16) if few else (HELPS, HURTS)
    return (helps if gain > 0 else hurts)[passed - 1] if passed else ""
