"""Parameters of candidates and labels: mining, the reference LM, scoring, its samples and its gates."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from stages.parameters.section import Params, Positive


class Mining(Params):
    """BM25 candidate mining (paper section 3.2)."""

    max_candidates: int = Field(
        ge=1, le=1024, description="candidates stored a query; scoring takes the first `scoring.candidates`"
    )
    k1: float = Field(1.5, gt=0)
    b: float = Field(0.75, ge=0, le=1)
    epsilon: float = Field(
        0.25, ge=0, description="rank-bm25's floor for negative idf, as a share of the mean idf"
    )
    idf_scope: Literal["document", "eligible"] = Field(
        "document",
        description=(
            "chunks that idf counts for label queries `qt`: the whole pool, or those eligible at the query;"
            " `q` always counts the eligible only, because a perplexity may not see the future"
        ),
    )
    max_span: int = Field(
        65536,
        ge=1,
        description="chunks; how far back of its query a candidate may lie, which bounds the cost",
    )


class ReferenceLM(Params):
    """The language model whose log-probabilities become labels; all sizes are only for `train`."""

    source: Literal["train", "hub", "directory"] = Field(
        "train",
        description=(
            "`train` from scratch on the train split, or a GPT-2, GPT-NeoX, Llama, Mistral, Qwen2 or Qwen3 of"
            " the Hugging Face hub or of this machine; `./rpt use-lm` sets it with the tokenizer"
        ),
    )
    name: str = Field(
        "EleutherAI/pythia-1.4b-deduped", description="not for `train`: a name of the hub, or the directory"
    )
    revision: str | None = Field(
        None,
        description=(
            "the commit of `hub`, 40 hex digits, or the digest of what a `directory` holds, 64; null is"
            " refused there"
        ),
    )
    layers: int = Positive
    width: int = Positive
    heads: int = Positive
    tokens: int = Field(
        gt=0, description="training tokens at most; never more than two epochs of the train split"
    )
    batch: int = Field(gt=0, description="windows of four chunks a step")
    learning_rate: float = Positive
    seed: int = Field(0, ge=0)

    @field_validator("revision")
    @classmethod
    def _is_a_commit(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value):
            raise ValueError(
                "a revision must be a commit of 40 hex digits, or of a directory a digest of 64, because a"
                " branch or tag may be another model tomorrow"
            )
        return value

    @model_validator(mode="after")
    def _says_which(self) -> ReferenceLM:
        if self.source != "train" and self.revision is None:
            commit = " --revision COMMIT" if self.source == "hub" else ""
            raise ValueError(
                f"revision is null, and {self.name} may be another model tomorrow, while labels must say what"
                f" scored them; `./rpt use-lm {self.name}{commit}` sets it"
            )
        return self


class Scoring(Params):
    """How many candidates of how many queries are scored."""

    candidates: int = Field(ge=1, description="k: candidates scored a query of the train split (paper: 20)")
    evaluation_candidates: int = Field(ge=1, description="the same for validation and test")
    query_fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of train queries labelled, chosen by hash: the largest lever on cost",
    )
    evaluation_query_fraction: float = Field(1.0, gt=0, le=1, description="the same for validation and test")
    engine: Literal["auto", "vllm", "jax"] = Field(
        "jax",
        description=(
            "what runs the reference LM; auto: vllm if it is installed, there is a CUDA GPU and chunks have"
            " 64 tokens, else jax, decided before a run and written in its place"
        ),
    )
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32",
        description=(
            "of the reference LM's weights and activations; on GPUs float16 is as fast as bfloat16 and about"
            " ten times closer to float32, see docs/decisions.md"
        ),
    )


class Exhaustive(Params):
    """The sample of queries for which the reference LM scores all eligible chunks, a gold that owes nothing
    to BM25.
    """

    queries: int = Field(
        ge=0,
        le=1_000_000,
        description=(
            "evaluated queries drawn by hash; 0: none. A query costs a pair for each eligible chunk, and one"
            " more"
        ),
    )
    most_eligible: int = Field(
        gt=0,
        description=(
            "only queries with at most so many eligible chunks are drawn from, which bounds the cost and"
            " favours early ones"
        ),
    )
    seed: int = Field(0, ge=0)


class Retrieved(Params):
    """The sample of queries for which the reference LM scores what each system retrieved, so that Precision@2
    is exact.
    """

    queries: int = Field(
        ge=0,
        le=1_000_000,
        description=(
            "evaluated queries drawn by hash, the same ones for every run; 0: none. A query costs a pair for"
            " each distinct chunk that a run of the corpus reads for it, and one more"
        ),
    )
    seed: int = Field(
        0,
        ge=0,
        description=(
            "where this and the exhaustive sample have the same, they share as many queries as they can"
        ),
    )


class LabelGates(Params):
    """When labels are fit to train on; the gates and their limits are in reports/metrics/gates.py."""

    enforce: bool = Field(
        description=(
            "true: a gate that fails ends the run (exit code 3); false: the run goes on, and the report says"
            " so in red"
        )
    )
    queries: int = Field(
        gt=0,
        le=100_000,
        description="validation queries scored again, with a planted copy and with random chunks",
    )
    bootstrap_samples: int = Field(1000, gt=0, le=100_000)
    seed: int = Field(0, ge=0)
