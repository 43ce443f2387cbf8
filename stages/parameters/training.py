"""Parameters of runs: what they are, what all systems share in training, and what is particular to one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stages.parameters.section import Params, Positive

STARTS = "starts/"


class Run(Params):
    """One system trained and evaluated on one corpus."""

    corpus: str
    system: str
    input: str = Field(
        pattern=r"^(sequences|supervision/(bm25|bm25_q|scored)|corpus_neighbours|starts/[^/]+)$",
        description=(
            "the narrowest artifact the system reads; starts/RUN: it begins with that trained run, which"
            " `starts` names, and reads corpus_neighbours"
        ),
    )
    seed: int = Field(0, ge=0)

    @property
    def start(self) -> str | None:
        """The trained run that it begins with."""
        return self.input.removeprefix(STARTS) if self.input.startswith(STARTS) else None

    def as_read(self) -> Run:
        """The run with what it reads beside its start as `input`."""
        return self.model_copy(update={"input": "corpus_neighbours"}) if self.start else self


class Start(Params):
    """A trained run that others begin with: what `runs` says of it."""

    corpus: str
    system: str


class Packing(Params):
    """How supervision is laid out beside the training sequences."""

    lexical_candidates: int = Field(
        ge=1, description="BM25 candidates a chunk that RETRO and RPT-Lex see in training (paper: 20)"
    )


class Training(Params):
    """What all systems of a comparison share."""

    layers: int = Field(ge=2)
    width: int = Positive
    heads: int = Positive
    dropout: float = Field(ge=0, lt=1)
    zero_init_residuals: bool = Field(
        description="output projections of residual branches begin at zero (paper: false); helps short runs"
    )
    copying: bool = Field(
        False,
        description=(
            "tell heads how far the text before a key agrees with that up to the query, and begin with heads"
            " that read what followed the same tokens, in the window and in neighbours (model/agreement.py,"
            " model/copying_values.py; paper: false); a model trained for minutes learns neither. The same"
            " for every system but the official forms"
        ),
    )
    lexical_start: bool = Field(
        False,
        description=(
            "the retriever's scores begin with the tokens that two chunks share (by their remainder by"
            " 1,024), each with a weight that is learned, and with how near they are"
            " (model/lexical_start.py); its projections add to that from zero, at a tenth of the rate (paper:"
            " false, none of it); projections alone begin with scores by chance, and minutes of training do"
            " not mend that"
        ),
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        description=(
            "of activations; parameters, optimizer, norms, softmax, retrieval scores and losses are float32"
            " always"
        )
    )
    remat: bool = Field(
        description=(
            "compute a block's activations again in the backward pass instead of keeping them: less memory,"
            " slower"
        )
    )
    steps: int = Positive
    batch: int = Field(gt=0, description="training sequences a step")
    parts: int = Field(
        1,
        gt=0,
        description=(
            "in which a step computes its batch, one after the other: memory is that of one part, the update"
            " that of the whole batch (gradient accumulation); what dropout and sampling draw differs"
        ),
    )
    shortest_sequence: float = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "ends of documents with fewer tokens than this share of a sequence are not trained on (official"
            " code: 0.9); 0: all are, padded and masked out of the loss"
        ),
    )
    learning_rate: float = Positive
    warmup: float = Field(description="share of the run over which the learning rate rises", ge=0, le=1)

    @model_validator(mode="after")
    def _parts_divide_the_batch(self) -> Training:
        if self.batch % self.parts:
            raise ValueError(
                f"parts is {self.parts}, which does not divide batch, {self.batch}: choose one that does"
            )
        return self


class Recipe(Params):
    """What is particular to one system; Transformer-XL needs none of it."""

    cca_layers: tuple[int, ...] = Field((), description="layers with chunked cross-attention, 1 = first")
    recurrent_layers: tuple[int, ...] = Field(
        (), description="layers with a recurrence, for Griffin (paper: 5 of 12)"
    )
    lower_layers: int | None = Field(
        None,
        ge=1,
        description=(
            "layers of the lower decoder, before the first with cross-attention; null: half of all (RETRO: 5"
            " of 12)"
        ),
    )
    neighbours: int = Field(
        1, ge=1, le=20, description="K, neighbours a chunk reads (paper: 2); evaluations keep 20"
    )
    gate_window: int = Field(1, ge=1, description="chunks whose neighbours the gate attends to (paper: 64)")
    ranking_weight: float = Field(0.0, ge=0, description="alpha_ret; its scale is that of `normalise`")
    ranking_ramp: float = Field(
        0.05, ge=0, le=1, description="share of the run over which alpha_ret rises from 0"
    )
    margin_max: float = Field(1.0, ge=1, description="tau at the end of the run; it starts at 1")
    normalise: Literal["query", "sum"] = Field(
        "query",
        description=(
            "the ranking loss: its mean over the labelled queries of a batch, or their sum (the paper, for"
            " its alpha_ret of 1e-9)"
        ),
    )
    gold_until: float = Field(
        0.9, gt=0, le=1, description="share of the run over which gold neighbours give way to the model's own"
    )
    sampling: Literal["chunk", "sequence", "batch"] = Field(
        "chunk", description="what draws anew whether to read gold neighbours (official code: batch)"
    )
    missing_gold: Literal["own", "mask"] = Field(
        "own",
        description=(
            "where a labelled chunk has fewer gold neighbours than K: the model's own best, or none (official"
            " code: mask)"
        ),
    )
