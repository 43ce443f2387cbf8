"""Parameters of REALM: what it begins as, how it is trained, and what it is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stages.parameters.section import Params, Positive


class RealmStart(Params):
    """What REALM of each of `realm_corpora` is made of and begins as (arXiv 2002.08909); the official code's
    values in brackets.
    """

    passages: int = Field(
        gt=1,
        description="passages that may be retrieved at most, from the first train documents on (13 million)",
    )
    passage_chunks: int = Field(
        1, ge=1, le=16, description="consecutive chunks of a passage (a passage has at most 288 word pieces)"
    )
    query_tokens: int = Field(ge=8, le=510, description="a sentence of more tokens is no question (94)")
    held_out: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share of the passages that questions to evaluate with are made from, by hash",
    )
    layers: int = Field(ge=1, description="of embedder and reader each (12)")
    width: int = Field(gt=0, description="of embedder and reader each (768)")
    heads: int = Positive
    vector: int = Field(128, gt=0, description="width of the vectors that are compared (128)")
    dropout: float = Field(ge=0, lt=1, description="in both (0.1)")
    candidates: int = Field(
        ge=1, description="passages a question is read with, beside the null document (7)"
    )
    cloze_steps: int = Field(
        gt=0, description="updates of the inverse cloze task, by which the embedder begins (100,000)"
    )
    cloze_batch: int = Field(
        gt=1, description="sentences an update; each has the passages of all others as negatives (4,096)"
    )
    cloze_learning_rate: float = Field(gt=0, description="(1e-4)")
    reader_steps: int = Field(
        gt=0,
        description="updates by which the reader learns to read; a BERT in the paper, which is not read here",
    )
    reader_batch: int = Field(
        gt=0, description="questions an update, each with one passage that says its answer and with none"
    )
    reader_learning_rate: float = Positive
    seed: int = Field(0, ge=0)


class RealmTraining(Params):
    """How REALM is trained, and when its index is built anew; the official code's values in brackets."""

    steps: int = Field(gt=0, description="updates (200,000)")
    batch: int = Field(gt=0, description="questions an update (512)")
    learning_rate: float = Field(gt=0, description="of reader and embedder (3e-5)")
    refresh: Literal["never", "every", "adaptive"] = Field(
        "every",
        description=(
            "when the index is built anew: never, every `refresh_every` updates, or when a probe finds its"
            " recall below `recall_bound`; training goes on meanwhile"
        ),
    )
    refresh_every: int = Field(
        gt=0, description="only for `every`: updates between two refreshes (about 500)"
    )
    recall_bound: float = Field(
        gt=0, le=1, description="only for `adaptive`: a refresh begins where the probe's recall is below"
    )
    probe_every: int = Field(
        gt=0,
        description=(
            "updates between two probes, whatever the rule: the recall of the index of now against a fresh"
            " one, on a sample"
        ),
    )
    hand_over: int = Field(
        ge=0,
        description=(
            "updates between the beginning of a refresh and its taking over, however long it takes, so that"
            " bits do not differ"
        ),
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_at_a_time(self) -> RealmTraining:
        if self.hand_over >= self.refresh_every:
            raise ValueError(
                f"hand_over {self.hand_over} must be less than refresh_every {self.refresh_every}: one"
                " refresh ends before the next begins"
            )
        return self


class RealmAnswers(Params):
    """What a trained REALM is asked."""

    questions: int = Field(gt=0, description="held-out questions at most, drawn by the seed")
    bootstrap_samples: int = Field(1000, gt=0, le=100_000)
    seed: int = Field(0, ge=0)
