"""What a reader of labels must know first, in sentences: for the page, the card and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_contracts.documents import SPLITS
from reports.html.formats import count, number, percent, percents
from reports.labels.report import LabelReport, SplitFigures
from reports.metrics.gates import GateFigures
from reports.metrics.resampling import FEWEST_DOCUMENTS

MOST_COPIES = 0.2  # share of the positive labels that may copy their target before it is a warning

# Said wherever labels of a scorer trained here are shown, because a reader may take its copying for something
# it has learnt.
COPYING = (
    "The scorer was trained here, for minutes. So small a model does not learn in that time to look up what"
    " stands before it, so its first values already did: one attention head looked one token back, others"
    " matched what it found with the token at hand and copied what followed it. Training went on from there."
)


@dataclass(frozen=True)
class Finding:
    """A figure of a few words, and what it means; `poor` ones are red."""

    figure: str
    words: str
    poor: bool = False


def findings(report: LabelReport) -> list[Finding]:
    """How many labels there are, whether they are any good, whether k is enough, and how much is copying."""
    return [_how_many(report), _any_good(report.gates.gates), _enough(report), _copying(report)]


def main_split(report: LabelReport) -> tuple[str, SplitFigures] | None:
    """Train, which a retriever learns from, or else the first split that has labels."""
    return next(iter(report.splits.items()), None)


def _how_many(report: LabelReport) -> Finding:
    splits = report.splits
    of = splits.values()
    pairs, queries, documents = (
        sum(found.pairs for found in of),
        sum(found.queries for found in of),
        sum(found.documents for found in of),
    )
    rates = ", ".join(f"{split} {percent(found.positive_rate.value)}" for split, found in splits.items())
    positive = f" Positive, which means that the candidate helps: {rates}." if rates else ""
    return Finding(
        f"{count(pairs)} labels",
        f"Candidates of {count(queries)} queries in {count(documents)} documents.{positive}",
    )


def _any_good(gates: Sequence[GateFigures]) -> Finding:
    if not gates:
        return Finding("No gate measured", "Whether the labels are fit to train on is not known.", poor=True)
    failed, unclear = (
        [gate.name for gate in gates if gate.verdict == verdict] for verdict in ("failed", "cannot tell")
    )
    words = [f"Failed: {', '.join(failed)}. A retriever trained on them may learn noise."] if failed else []
    if unclear:
        words.append(f"Too few documents to tell: {', '.join(unclear)}.")
    passed = len(gates) - len(failed) - len(unclear)
    said = " ".join(words) or "The labels are fit to train on."
    return Finding(f"{passed} of {len(gates)} gates passed", said, poor=bool(failed))


VERDICTS = {
    "yes": "is enough",
    "no": "is not enough",
    "open": "may be enough",
    "unknown": "is too few to tell",
}


def _enough(report: LabelReport) -> Finding:
    chosen = main_split(report)
    if chosen is None:
        return Finding("k is not known", "There is no label.")
    split, found = chosen
    enough, k = found.enough, found.candidates
    if enough.verdict == "unknown":
        words = (
            f"Queries of {split} have at most {k} scored candidates; of {enough.last + 2} or more one could"
            " see the rise level off."
        )
    elif enough.share.value is None:
        words = f"In {split} no candidate after the first is ever better."
    else:
        share, total = enough.share, number(enough.total.value, 3)
        bring = f"{percent(share.value)} {percents(share.low, share.high)}"
        words = (
            f"In {split} the last {enough.last} candidates bring {bring} of the {total} nats a token that all"
            " after the first bring."
        )
    others = [
        f" In {other} k = {part.candidates} {VERDICTS[part.enough.verdict]}."
        for other, part in report.splits.items()
        if other != split
    ]
    return Finding(f"k = {k} {VERDICTS[enough.verdict]}", "".join([words, *others]))


def _copying(report: LabelReport) -> Finding:
    chosen = main_split(report)
    if chosen is None:
        return Finding("Copies are not known", "There is no label.")
    split, found = chosen
    copies = found.copies
    share, without = copies.of_positives.value, copies.positive_rate_without.value
    words = (
        f"In {split} so many positive labels are near-copies of their target, and"
        f" {percent(copies.share.value)} of all pairs. Without them {percent(without)} would be positive, not"
        f" {percent(found.positive_rate.value)}."
    )
    return Finding(f"{percent(share)} are copies", words, poor=share is not None and share > MOST_COPIES)


def gate_warnings(gates: Sequence[GateFigures]) -> list[str]:
    """What gates say that did not pass."""
    begins = {"failed": "Weak labels", "cannot tell": "Perhaps weak labels"}
    return [f"{begins[gate.verdict]}: {gate.sentence}" for gate in gates if gate.verdict in begins]


def warnings(report: LabelReport) -> list[str]:
    """Everything a reader must know before believing a figure."""
    splits = report.splits
    found = gate_warnings(report.gates.gates)
    if missing := [split for split in SPLITS if split not in splits]:
        found.append(f"There is no label in {' and '.join(missing)}.")
    for split, part in splits.items():
        if not part.positives:
            found.append(f"No candidate of {split} helps: there is nothing that a retriever could learn.")
        if part.documents < FEWEST_DOCUMENTS:
            found.append(
                f"Intervals of {split} are not meaningful: {part.documents} documents, fewer than"
                f" {FEWEST_DOCUMENTS}."
            )
        if (share := part.copies.of_positives.value) is not None and share > MOST_COPIES:
            found.append(
                f"{percent(share)} of the positive labels of {split} copy their target: a retriever would"
                " learn to find duplicates. Remove repeated text from the documents before mining."
            )
    return found
