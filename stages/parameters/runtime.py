"""Where and how fast the work runs: never part of an artifact's identity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from data_contracts.places import check_place
from stages.parameters.section import Params

Device = Literal["A100", "H100", "H200", "TPUv4", "TPUv5e", "TPUv5p"]


class Runtime(Params):
    """Where and how fast; never part of an artifact's identity."""

    workers: int | None = Field(None, ge=1, description="Ray CPUs of a local Ray; null: all cores")
    object_store_mb: int = Field(
        256, ge=80, description="shared memory of a local Ray", json_schema_extra={"unit": "MiB"}
    )
    retries: int = Field(1, ge=0, description="times a stage is tried again after a lost worker")
    budget_hours: float | None = Field(
        None,
        ge=0,
        description=(
            "wall time of one run of scoring on one corpus; when it is used up no shard is begun, those begun"
            " end, and the run stops with exit code 6, to go on when it is run again; null: no limit"
        ),
        json_schema_extra={"unit": "hours"},
    )
    checkpoint_seconds: float = Field(
        300.0,
        gt=0,
        description=(
            "between two checkpoints of training, the reference LM's too, from which a run goes on; with the"
            " same bits on the same devices and cores"
        ),
        json_schema_extra={"unit": "seconds"},
    )
    wandb_project: str | None = Field(
        None,
        min_length=1,
        description=(
            "project of Weights & Biases for which training also keeps its figures, in .run/wandb/ until"
            " `wandb sync`; it needs requirements-wandb.txt; null: none"
        ),
    )
    prices: dict[Device, float] = Field(
        {"A100": 1.8, "H100": 3.0, "H200": 3.8, "TPUv4": 3.2, "TPUv5e": 1.2, "TPUv5p": 4.2},
        description=(
            "of one device, for `rpt plan scoring`; the defaults are round on-demand prices of 2026: put"
            " your own"
        ),
        json_schema_extra={"unit": "US dollars an hour"},
    )
    ledger: Annotated[str, AfterValidator(check_place)] = Field(
        "ledger",
        min_length=1,
        description=(
            "the label store, which may serve several checkouts: a directory, or gs://bucket/prefix for"
            " several machines"
        ),
    )
