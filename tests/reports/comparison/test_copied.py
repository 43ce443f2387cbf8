"""What a comparison says of how much is copied: counted by hand from made-up overlaps."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from reports.comparison.copied import sentences, table
from reports.comparison.figures import corpus_comparison
from reports.comparison.page import markdown, render
from reports.comparison.rows import Comparison
from tests.reports.comparison.test_figures import WORSE, measured_of, reading_corpus

SCALES = (0.9, 1.1)


@pytest.fixture(scope="module")
def measured(evaluations_sample):
    """Two seeds. Every third chunk shares nothing with its passages, every third half of its tokens, and the
    others all of them."""
    sample = evaluations_sample.made_up(documents=10)
    found = reading_corpus(measured_of(sample, evaluations_sample, SCALES))
    chunks = found.frames["demo-retro-s0", "own"].select("doc_id", "chunk").filter(pl.col("chunk") >= 0)
    third = np.arange(len(chunks)) % 3
    overlap = np.array([0, found.chunk_tokens // 2, found.chunk_tokens])[third]
    return replace(found, overlap=chunks.with_columns(overlap=overlap))


@pytest.fixture(scope="module")
def compared(measured):
    return corpus_comparison(measured, 20)


def test_losses_are_means_over_seeds_by_overlap(measured, compared):
    (copied,) = compared.copied
    assert copied.system == "retro_corpus"
    assert copied.columns == [
        ("retro_corpus", "own"),
        ("retro_corpus", "none"),
        ("retro_corpus", "by_chance"),
        ("transformer_xl", "own"),
        ("retro_corpus_random", "own"),
    ]
    frames = [measured.frames[f"demo-retro-s{seed}", "own"] for seed in range(2)]
    rows = frames[0].with_columns(loss=(frames[0]["loss"] + frames[1]["loss"]) / 2)
    rows = rows.join(measured.overlap, on=["doc_id", "chunk"])
    little = rows.filter(pl.col("overlap") == 0)
    first, whole = copied.rows[0], copied.rows[4]
    assert (first.chunks, whole.chunks) == (len(little), len(rows))
    bits = little["loss"].sum() / little["bytes"].sum() / math.log(2)
    assert first.bits_per_byte["retro_corpus own"] == pytest.approx(bits, abs=1e-5)
    gain = (WORSE["none"] - 1) * little["loss"].sum() / little["tokens"].sum()
    assert first.gains["retro_corpus none"].value == pytest.approx(gain, abs=1e-5)


def test_page_and_markdown_say_the_same(compared, parse):
    comparison = Comparison("it", [compared])
    (copied,) = compared.copied
    text, page = markdown(comparison), parse(render(comparison))
    assert not page.unbalanced
    assert "How much is copied: RETRO, whole corpus on demo" in page.all_text("h2")
    assert "## How much is copied: RETRO, whole corpus on demo" in text
    for row in table(copied).rows:
        assert row[0] in page.all_text("th")
        assert any(line.startswith(f"| {row[0]} ") for line in text.splitlines()), row[0]
    little, whole = copied.rows[0].chunks, copied.rows[4].chunks
    assert sentences(copied)[1].startswith(f"{little} of {whole} chunks ({100 * little / whole:.1f} %)")
    # one of Table 2, and two of this, each in two widths
    assert len([name for name, _ in page.elements if name == "svg"]) == 6
    titles = page.all_text("title")
    assert titles.count("Bits a byte by the longest common run") == 2


def test_what_is_not_known_is_not_said(measured, compared, parse):
    """The whole part where no run reads a corpus."""
    nothing = replace(measured, overlap=measured.overlap.with_columns(overlap=-1))
    (copied,) = corpus_comparison(nothing, 20).copied
    assert "No evaluated chunk has a passage." in sentences(copied)
    assert not parse(render(Comparison("it", [replace(compared, copied=[copied])]))).unbalanced
    assert corpus_comparison(replace(measured, overlap=None), 20).copied == []


def test_a_hostile_corpus_is_text(compared, parse):
    hostile = Comparison("it", [replace(compared, corpus="a\n# b|<i>c</i>")])
    assert not parse(render(hostile)).unbalanced
    heading = next(line for line in markdown(hostile).splitlines() if line.startswith("## How much"))
    assert heading.endswith(r"on a # b\|\<i\>c\</i\>")
