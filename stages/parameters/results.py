"""Parameters of what is done with a trained run: evaluation and report."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from stages.parameters.section import Params

Setting = Literal["own", "none", "training_length", "first_1", "first_2", "first_3", "first_4", "second"]


class Evaluation(Params):
    """What is held out, and with which neighbours it is read."""

    split: Literal["validation", "test"] = "test"
    max_tokens_per_document: int = Field(
        gt=2, description="only so many tokens from the start of each document"
    )
    settings: tuple[Setting, ...] = Field(
        get_args(Setting),
        description=(
            "how neighbours are chosen, see data_contracts/evaluations.py; `own`, the headline, is always"
            " there"
        ),
    )
    settings_documents: int | None = Field(
        None,
        ge=0,
        description="only so many documents, the first, are read in the other settings than `own`; null: all",
    )
    documents_at_once: int = Field(
        1,
        ge=1,
        description=(
            "documents read side by side, for devices that one leaves idle; it can change the last bits of a"
            " loss"
        ),
    )
    index: Literal["exact", "hnsw"] = Field(
        "exact",
        description=(
            "of the memory; hnsw is approximate, for documents of millions of tokens, and its recall is"
            " measured"
        ),
    )


class Report(Params):
    """Uncertainty in the report."""

    bootstrap_samples: int = Field(gt=0, le=100_000)
