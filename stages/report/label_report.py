"""The supervision report of the labels: a page, a label card and their figures, read once more but never
scored again.
"""

from __future__ import annotations

import polars as pl

from data_contracts.candidates import LABELS
from data_contracts.contract import open_artifact, read_columns
from data_contracts.documents import DOCUMENTS
from data_contracts.tokens import CHUNKS
from model.decoder_config import DecoderConfig, read_config
from reports.labels import card as label_card
from reports.labels import page as supervision_page
from reports.labels.examples import KINDS, with_texts
from reports.labels.findings import findings
from reports.labels.label_set import LabelSet, open_label_set
from reports.labels.report import Cost, Examples, LabelReport, Sharing
from reports.labels.statistics import label_statistics, no_statistics
from reports.metrics.chunk_sizes import ChunkSizes
from reports.metrics.figures_file import as_json, read_figures
from reports.metrics.gates import Gates
from stages.bill.cost import prefix_flops, scoring_flops, scoring_tokens
from stages.parameters import Geometry, Mining, ReferenceLM, Report, Scoring
from stages.runner.stage import Context, Job
from stages.tokens.scorer_lengths import measured_length


def cost_of(sharing: Sharing, config: DecoderConfig, chunk_tokens: float) -> Cost:
    """Tokens and operations of the pairs, with each prefix computed once, and operations with one computed
    for every pair.

    `chunk_tokens` are tokens of the reference LM in a chunk.
    """
    flops = scoring_flops(config, chunk_tokens, sharing.prefixes, sharing.pairs)
    return Cost(
        parameters=config.parameters,
        tokens=scoring_tokens(chunk_tokens, sharing.prefixes, sharing.pairs),
        flops=flops,
        flops_unshared=flops + (sharing.pairs - sharing.prefixes) * prefix_flops(config, chunk_tokens),
    )


def licenses_of(context: Context, label_set: LabelSet) -> list[str]:
    """The distinct licences that the labelled documents state, sorted; an empty one is of those that state
    none.
    """
    found = set[str]()
    labelled = label_set.documents["doc_id"].implode()
    for shard in label_set.documents["shard"].unique(maintain_order=True):
        rows = pl.DataFrame(
            pl.from_arrow(read_columns(DOCUMENTS, context.input("documents") / shard, ["doc_id", "license"]))
        )
        found |= set(rows.filter(pl.col("doc_id").is_in(labelled))["license"])
    return sorted(found)


def make_label_report(
    context: Context,
    geometry: Geometry,
    mining: Mining,
    reference_lm: ReferenceLM,
    scoring: Scoring,
    report: Report,
) -> None:
    """Write index.html, README.md and statistics.json."""
    labels = open_artifact(LABELS, context.input("labels"))
    statistics, licenses = no_statistics(), list[str]()
    texts: Examples = {kind: [] for kind in KINDS}
    if labels.rows:
        label_set = open_label_set(labels.directory, context.scratch / "index")
        statistics, chosen = label_statistics(label_set, report.bootstrap_samples)
        texts, licenses = with_texts(label_set, chosen), licenses_of(context, label_set)
    config, chunk_tokens = read_config(context.input("reference_lm")), float(geometry.chunk_tokens)
    if "chunk_tokenizer" in labels.fact("scorer"):
        chunk_tokens = measured_length(
            open_artifact(CHUNKS, context.input("chunks")), context.input("reference_lm")
        )
    hub = {"name", "revision"}
    trained = (
        reference_lm.model_dump(exclude=hub)
        if reference_lm.source == "train"
        else reference_lm.model_dump(include={"source", *hub})
    )
    result = LabelReport(
        corpus=context.corpus,
        labels=labels.digest,
        geometry=ChunkSizes(**geometry.model_dump()),
        scorer=labels.fact("scorer"),
        licenses=licenses,
        parameters={"mining": mining.model_dump(), "reference_lm": trained, "scoring": scoring.model_dump()},
        gates=read_figures(Gates, context.input("label_gates") / "gates.json", "./rpt run label_gates"),
        cost=cost_of(statistics.sharing, config, chunk_tokens),
        splits=statistics.splits,
        sharing=statistics.sharing,
    )
    target = context.out("label_report")
    (target / "statistics.json").write_text(as_json(result))
    (target / "README.md").write_text(label_card.card(result), encoding="utf-8")
    (target / "index.html").write_text(supervision_page.render(result, texts), encoding="utf-8")
    headline = "\n".join(f"- {found.figure}: {found.words}" for found in findings(result))
    context.say.note(f"**{context.corpus}**: what the labels are worth\n\n{headline}")
    context.say.progress(1, 1, "report")


STAGE = Job(
    "label_report",
    make_label_report,
    ("geometry", "mining", "reference_lm", "scoring", "report"),
    {"label_report": "artifacts/{corpus}/label_report"},
)
