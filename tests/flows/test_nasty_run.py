"""Inputs that must not break anything, through the command line from files to candidates."""

import polars as pl

from tests.nasty import NASTY, write_nasty
from tests.pipelines import private


def test_nasty_inputs_go_from_files_to_candidates(project, rpt, tmp_path):
    root = private(project, tmp_path / "project")
    write_nasty(root / "in put")
    refused = rpt(
        root,
        "run",
        "mining",
        "-o",
        "corpora.demo.source=in put",
        "-o",
        "ingestion.max_quarantine_fraction=0.05",
    )
    assert refused.returncode == 4, refused.stderr
    assert "too many inputs were quarantined" in refused.stderr
    assert not (root / "artifacts" / "demo" / "documents").exists()

    done = rpt(root, "run", "mining", "-o", "ingestion.max_quarantine_fraction=0.9")
    assert done.returncode == 0, done.stderr
    inputs = sum(len(reasons) + documents for _, reasons, documents in NASTY.values())
    documents, quarantine, tokens, chunks = (
        pl.read_parquet(root / "artifacts" / "demo" / name / "*.parquet")
        for name in ("documents", "quarantine", "tokens", "chunks")
    )
    assert len(documents) + len(quarantine) == inputs
    assert documents["doc_id"].to_list() == tokens["doc_id"].to_list()
    assert chunks.group_by("doc_id").agg(pl.col("token_ids").list.len().sum()).sort("doc_id")[
        "token_ids"
    ].to_list() == (tokens.sort("doc_id")["token_ids"].list.len().to_list())
    assert rpt(root, "verify").returncode == 0
