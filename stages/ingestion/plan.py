"""The plan of ingestion: from facts about inputs, without their texts, to documents, their splits and their
shards.

A table of facts has the columns of `INPUTS` but the texts, with `shard` and `row` where the text lies.
"""

from __future__ import annotations

import polars as pl

from data_contracts import counting
from data_contracts.failure import Exit, Failure
from stages.parameters import Corpus, Ingestion

MIN_SHARD_BYTES, MAX_SHARD_BYTES, MAX_SHARDS = 64 * 2**10, 16 * 2**20, 4096


def judge(facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that are documents, with `whole_id` and `part_of` filled in; rows that are none), both in the
    order of the source.

    Of texts that are equal up to line ends and white space at their edges the first is kept; so is it with
    such parts. A rejected input has one row, whatever was read of it before.
    """
    of_input = ["shard", "input"]
    rejected = facts.filter(pl.col("reason") != "")
    good = facts.join(rejected, on=of_input, how="anti", maintain_order="left").with_columns(
        whole_id=pl.col("whole_id").max().over(of_input),
        whole_key=pl.col("whole_key").max().over(of_input),
        parts=counting.rows().over(of_input),
    )
    good = good.with_columns(
        part_of=pl.when(pl.col("parts") > 1).then("whole_id").otherwise(pl.lit(""))
    ).drop("parts")
    originals = good.unique("whole_key", keep="first", maintain_order=True).select(of_input)
    copies = good.join(originals, on=of_input, how="anti", maintain_order="left")
    good = good.join(originals, on=of_input, how="semi", maintain_order="left")
    repeated = ~pl.col("text_key").is_first_distinct()
    again, good = pl.concat([copies, good.filter(repeated)]), good.filter(~repeated)
    equal = pl.col("doc_id").is_in(good["doc_id"].implode())
    alike = pl.lit("the same text as an earlier one, up to line ends and white space at its edges")
    detail = pl.when(equal).then(pl.format("the same text as an earlier {}", "doc_id")).otherwise(alike)
    again = again.with_columns(reason=pl.lit("duplicate"), detail=detail)
    return good, pl.concat([rejected, again.select(rejected.columns)]).sort("shard", "row")


def within(kept: pl.DataFrame, max_characters: int | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents in hash order until `max_characters` is reached, but always three, so that it can be split;
    and what is left out.
    """
    wholes = kept.group_by("whole_id").agg(pl.col("num_chars").sum()).sort("whole_id").with_row_index("place")
    before = pl.col("num_chars").cum_sum() - pl.col("num_chars")
    limit = 2**62 if max_characters is None else max_characters
    chosen = wholes.filter((before < limit) | (pl.col("place") < 3))["whole_id"]
    inside = pl.col("whole_id").is_in(chosen.implode())
    surplus = kept.filter(~inside).with_columns(
        reason=pl.lit("beyond_limit"), detail=pl.lit(f"max_characters is {max_characters}")
    )
    return kept.filter(inside), surplus


def assign_splits(kept: pl.DataFrame, corpus: Corpus) -> dict[str, str]:
    """whole_id -> split: the source's own, or test, then validation, take documents in hash order until their
    share of the characters is met, at least one each.

    Raises:
        Failure: (exit code 2) if train, validation or test would be empty.
    """
    wholes = (
        kept.group_by("whole_id").agg(pl.col("num_chars").sum(), pl.col("split").first()).sort("whole_id")
    )
    names, sizes = wholes["whole_id"].to_list(), wholes["num_chars"].to_list()
    if corpus.splits:
        splits = dict(zip(names, wholes["split"].to_list(), strict=True))
        if missing := {"train", "validation", "test"} - set(splits.values()):
            cause = f"no document is in {', '.join(sorted(missing))} by corpora.<name>.splits {corpus.splits}"
            raise Failure(
                "a split is empty", cause, "mend the globs, or set splits to {} to split by hash", Exit.USAGE
            )
        return splits
    if len(names) < 3:
        cause = f"{len(names)} documents, and train, validation and test need at least one each"
        raise Failure(
            "the corpus is too small to split",
            cause,
            "add documents or lower ingestion.min_document_chars",
            Exit.USAGE,
        )
    splits, position = dict.fromkeys(names, "train"), 0
    for split, share, left_over in (("test", corpus.test, 2), ("validation", corpus.validation, 1)):
        taken = 0
        while position < len(names) - left_over and (taken == 0 or taken < share * sum(sizes)):
            splits[names[position]] = split
            taken += sizes[position]
            position += 1
    return splits


def plan_shards(kept: pl.DataFrame, target: int) -> list[pl.DataFrame]:
    """Consecutive documents in groups of about `target` bytes."""
    numbers, number, size = list[int](), 0, 0
    for bytes_ in kept["num_bytes"].to_list():
        if size and size + bytes_ > target:
            number, size = number + 1, 0
        numbers.append(number)
        size += bytes_
    return kept.with_columns(pl.Series("out", numbers, pl.Int64)).partition_by(
        "out", maintain_order=True, include_key=False
    )


def shard_bytes(total: int, ingestion: Ingestion) -> int:
    """Target size of a shard, from the size of the corpus alone, never from the number of workers."""
    return max(min(max(total // ingestion.shards, MIN_SHARD_BYTES), MAX_SHARD_BYTES), total // MAX_SHARDS)
