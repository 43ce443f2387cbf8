"""What every section of params.yaml is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

Positive = Field(gt=0)


class Params(BaseModel):
    """One frozen section of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
