"""Parameters of the text: corpora, documents, tokens, and the sizes of chunks and sequences."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from stages.parameters.section import Params

FieldValue = str | bool | int | float | None


class Corpus(Params):
    """Where the text of one corpus comes from and how it is split."""

    source: str = Field(
        min_length=1,
        description=(
            "`python-stdlib`, or a path, directory, glob or URL (gs://..., hf://datasets/...) of text, JSON"
            " or Parquet files, also .gz or .zst"
        ),
    )
    include: tuple[str, ...] = Field(
        (), description="only files whose name relative to the source matches one of these globs; empty: all"
    )
    format: Literal["auto", "text", "jsonl", "parquet"] = Field(
        "auto", description="of every file; auto: by suffix, or by what it holds"
    )
    text_column: str = Field(
        "text", description="field of a JSONL record or column of a Parquet file that holds the text"
    )
    where: dict[str, FieldValue] = Field(
        {},
        description=(
            "only records whose fields have these values: text, a number, true, false or null; a dot leads"
            " into a nested field"
        ),
    )
    group: Literal["file", "directory"] = Field(
        "file",
        description=(
            "`directory`: the text files below one directory of the source are one document, as CodeParrot's"
            " repositories"
        ),
    )
    license: str = Field(
        "", description="licence of what does not state its own in a `license` field or column"
    )
    max_characters: int | None = Field(
        None, gt=0, description="take documents in hash order until this many characters; null: all"
    )
    splits: dict[Literal["validation", "test"], str] = Field(
        {},
        description=(
            "the source's own split: globs over file names, what matches neither is train; empty: by hash of"
            " the text"
        ),
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of the characters held out for choices, when split by hash"
    )
    test: float = Field(
        0.2, gt=0, lt=1, description="share of the characters held out for the results, when split by hash"
    )

    @field_validator("where", mode="before")
    @classmethod
    def _single_values(cls, where: Any) -> Any:
        if not isinstance(where, dict):
            return where
        where = {
            field: value.isoformat() if isinstance(value, date) else value for field, value in where.items()
        }
        if odd := [field for field, value in where.items() if not isinstance(value, FieldValue)]:
            raise ValueError(f"{odd[0]} is compared with one value: text, a number, true, false or null")
        return where


class Geometry(Params):
    """Sizes that every stage from chunking on must agree on."""

    chunk_tokens: int = Field(gt=1, le=1024, multiple_of=2, description="m, tokens a chunk (paper: 64)")
    sequence_chunks: int = Field(gt=1, description="chunks a training sequence (paper: 256)")
    stride_chunks: int = Field(
        ge=1, description="w, window stride in chunks (paper: 16); attention sees up to two strides"
    )

    @model_validator(mode="after")
    def _whole_strides(self) -> Geometry:
        if self.sequence_chunks % self.stride_chunks or self.sequence_chunks < 4 * self.stride_chunks:
            raise ValueError(
                f"sequence_chunks {self.sequence_chunks} must be a multiple of stride_chunks"
                f" {self.stride_chunks} and at least 4 of them"
            )
        return self

    @property
    def sequence_tokens(self) -> int:
        """L, tokens a training sequence."""
        return self.sequence_chunks * self.chunk_tokens


class Ingestion(Params):
    """What counts as a document."""

    min_document_chars: int = Field(ge=1, description="shorter documents are quarantined as too_short")
    max_document_chars: int = Field(
        16_000_000,
        ge=10_000,
        le=32_000_000,
        description=(
            "a longer document is cut into parts, each a document of its own with part_of, so that memory"
            " stays bounded"
        ),
    )
    max_quarantine_fraction: float = Field(
        description="above this share of rejected inputs the run ends with exit code 4", ge=0, le=1
    )
    shards: int = Field(
        ge=1,
        le=4096,
        description=(
            "about how many shards to aim at; a shard is at least 64 KiB of text and at most 16 MiB or one"
            " document"
        ),
    )


class Tokenization(Params):
    """Which tokenizer."""

    tokenizer: str = Field(
        description=(
            "`train` (byte-level BPE on the train split), a tokenizer.json file, or a Hugging Face name"
        )
    )
    revision: str | None = Field(None, description="commit of the Hugging Face tokenizer")
    vocabulary_size: int = Field(gt=256, le=2**20, description="only for `train`")
    train_characters: int = Field(
        100_000_000, gt=0, description="only for `train`: read at most so many characters of the train split"
    )
