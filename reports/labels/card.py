"""The label card: README.md of a label artifact as a dataset of the Hugging Face Hub, for people and, in its
YAML header, for programs.

The header names the files as `rpt labels publish` lays them: the card at the top, files of each split in
`labels/`, and, where they were asked for, the texts of chunks in `chunks/`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from data_contracts.candidates import LABELS
from reports.html.formats import count, interval, number, percent, size
from reports.html.markup import clipped, visible
from reports.labels.card_header import TITLE, header, kind_name
from reports.labels.findings import COPYING, VERDICTS, findings, warnings
from reports.labels.label_sections import in_bytes
from reports.labels.report import LabelReport
from reports.metrics.resampling import Estimate

TEXT, SENTENCE = 200, 600
CHUNKS = """
chunks = load_dataset("USER/NAME", "chunks")["train"]  # doc_id, chunk, text"""


def markdown(text: str, limit: int = TEXT) -> str:
    """Text from outside as words in a line of Markdown that show it and do nothing: no markup, no entity, no
    link, no cell of a table.
    """
    shown = visible(clipped(text, limit)).replace("\n", "\\n").replace("\t", "\\t")
    return re.sub(r"[\\`*_\[\]<>&|~$@]|(?<=:)/|(?<=www)\.", r"\\\g<0>", shown, flags=re.IGNORECASE)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _columns() -> str:
    rows = []
    for field in LABELS.schema:
        known = {key.decode(): value.decode() for key, value in field.metadata.items()}
        rows.append(
            [
                f"`{field.name}`",
                f"`{kind_name(field.type)}`",
                markdown(known["unit"]) if known["unit"] else "",
                markdown(known["description"]),
            ]
        )
    return _table(["column", "type", "unit", "what it is"], rows)


def _figures(report: LabelReport) -> str:
    def value(row: Estimate) -> str:
        return f"{number(row.value, 4)} {interval(row.low, row.high, 4)}"

    rows = [
        [
            split,
            *map(count, (found.documents, found.queries, found.pairs)),
            percent(found.positive_rate.value),
            value(found.best_by_k[-1]),
            f"{found.candidates} {VERDICTS[found.enough.verdict]}",
            percent(found.copies.of_positives.value),
        ]
        for split, found in report.splits.items()
    ]
    head = [
        "split",
        "documents",
        "queries",
        "labels",
        "positive",
        "best of k, nats a token",
        "k",
        "copies among positives",
    ]
    gates = [
        [
            markdown(gate.name),
            number(gate.value, 3),
            gate.verdict if gate.verdict == "passed" else f"**{gate.verdict}**",
            markdown(gate.sentence, SENTENCE),
        ]
        for gate in report.gates.gates
    ]
    return f"{_table(head, rows)}\n\n{_table(['gate', 'figure', 'verdict', 'what it says'], gates)}"


def _made(report: LabelReport) -> str:
    rows = [
        [f"`{section}.{key}`", markdown(str(value))]
        for section, values in report.parameters.items()
        for key, value in values.items()
    ]
    scorer = [[markdown(key), markdown(str(value))] for key, value in sorted(report.scorer.items())]
    cost = report.cost
    origin = f"{COPYING}\n\n" if report.parameters["reference_lm"]["source"] == "train" else ""
    return (
        f"{_table(['scorer', ''], scorer)}\n\n{origin}A model of {size(cost.parameters)} parameters read"
        f" {size(cost.tokens)} tokens for {count(report.sharing.pairs)} pairs,"
        f" {size(cost.flops)}FLOP.\n\n{_table(['parameter', 'value'], rows)}"
    )


def _limits(report: LabelReport, texts: bool) -> str:
    licenses = ", ".join(markdown(name) if name else "not stated" for name in report.licenses) or "not stated"
    limits = [
        *(markdown(warning, SENTENCE) for warning in warnings(report)),
        (
            "A label is the judgement of one language model, at one position, on one candidate at a time. It"
            " says nothing of candidates that BM25 did not propose."
        ),
        (
            "A score above 0 may be chance, most of all where the gates fail; larger scores are surer than"
            " the sign."
        ),
        (
            "The texts are those of the documents, under their licences:"
            if texts
            else "The texts are not here: `doc_id`, `query_chunk` and `candidate_chunk` name them in the"
            " artifact `chunks`. Whether you may pass those on is a matter of the documents' licences:"
        )
        + f" {licenses}.",
    ]
    return "\n".join(f"- {limit}" for limit in limits)


def _what_a_row_is(report: LabelReport) -> str:
    tokens = report.geometry.chunk_tokens
    return f"""## What a row is

A document is cut into chunks of {tokens} tokens. For a query chunk i, BM25 proposes earlier chunks j that
the model's window does not see. A row is one such pair. Its `target_score` is
s_t(c_j) = log P(c_i+1 | c_j, c_j+1, c_i) - log P(c_i+1 | c_i-2, c_i-1, c_i) by the reference language
model, in nats, summed over the target c_i+1; divide by {tokens} for nats a pipeline
token{in_bytes(report.gates)}. Above 0 the candidate helps more than the nearest text. Rows are sorted by
document, query and BM25 rank."""


def card(report: LabelReport, texts: bool = False) -> str:
    """README.md of the labels, the same bytes for the same labels; any text of the report may be hostile.
    With `texts` the texts of chunks are there beside the labels.
    """
    corpus = markdown(report.corpus)
    first = "\n".join(
        f"- **{markdown(found.figure)}**: {markdown(found.words, SENTENCE)}" for found in findings(report)
    )
    return f"""---
{header(report, texts)}---

# {TITLE}{corpus}

Which earlier chunks of a document help a language model to predict what comes next: supervision for a
retriever that is trained inside a language model, after *Retrieval-Pretrained Transformer* ([arXiv 2306.13421](https://arxiv.org/abs/2306.13421)).

{first}

{_what_a_row_is(report)}

{_columns()}

## Use

```python
from datasets import load_dataset

labels = load_dataset("USER/NAME")  # or "FOLDER", after `./rpt labels publish FOLDER`
train = labels["train"]{CHUNKS if texts else ""}
```

## Figures

{_figures(report)}

With 95 % intervals over documents and blocks of 64 chunks. More in `statistics.json` beside this card.

## How it was made

{_made(report)}

## Known limits

{_limits(report, texts)}
"""
