"""Counts are 64 bits wide everywhere: what Polars counts in 32 bits wraps when it is added up."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from data_contracts import candidates, ceilings, counting, documents, evaluations, ledger, sequences, tokens
from data_contracts.contract import Contract
from reports.metrics.chunk_sizes import ChunkSizes
from reports.metrics.corpus_figures import corpus_figures

ROOT = Path(__file__).resolve().parents[1]
CODE = ("stages", "reports", "flows", "data_contracts", "benchmarks")
HUGE = 2_200_000_000  # two of them are beyond 32 bits


def test_each_count_is_64_bits_wide() -> None:
    frame = pl.DataFrame({"items": [[1], [2, 3]], "number": pl.Series([HUGE, HUGE], dtype=pl.UInt32)})
    counted = frame.select(
        rows=counting.rows(),
        length=counting.length("items").sum(),
        how_many=counting.how_many(pl.col("number") > 0),
        different=counting.different("number"),
        total=counting.total("number"),
    )
    assert set(counted.dtypes) == {pl.Int64}
    assert counted.row(0) == (2, 3, 2, 1, 2 * HUGE)
    assert frame.select(pl.col("number").sum()).item() == 2 * HUGE - 2**32, (
        "Polars no longer wraps: data_contracts/counting.py may go"
    )


def test_a_corpus_of_more_tokens_than_32_bits_hold() -> None:
    chunks = pl.DataFrame(
        {
            "doc_id": ["a", "a", "b"],
            "split": ["train"] * 3,
            "tokens": pl.Series([HUGE, HUGE, 7], dtype=pl.UInt32),
        }
    )
    figures = corpus_figures(2, pl.DataFrame({"reason": ["empty"]}), chunks, ChunkSizes(64, 16, 2), 300)
    assert figures.splits["train"].tokens == 2 * HUGE + 7
    assert figures.quarantined == {"empty": 1}


def test_lists_longer_than_their_offsets_are_refused() -> None:
    class Long(np.ndarray):
        """A row that says it is longer than it is, as memory for a real one is not to be had."""

        def __len__(self) -> int:
            return HUGE

    with pytest.raises(pa.ArrowInvalid):
        tokens.list_column([np.zeros(1, np.uint32).view(Long)])


def test_sums_of_floats_repeat() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=1_500_000) * 10 ** generator.uniform(-3, 3, 1_500_000)
    frame = pl.DataFrame({"group": generator.integers(0, 3, len(values)), "value": values})
    grouped = frame.group_by("group", maintain_order=True)
    sums = {
        grouped.agg(counting.in_order(pl.col("value"))).sort("group")["value"].to_numpy().tobytes()
        for _ in range(8)
    }
    assert len(sums) == 1


def narrow_columns() -> set[str]:
    """Columns of whole numbers that some artifact keeps in 32 bits or fewer."""
    contracts = [
        value
        for module in (candidates, ceilings, documents, evaluations, ledger, sequences, tokens)
        for value in vars(module).values()
        if isinstance(value, Contract)
    ]
    return {
        part.name
        for contract in contracts
        for part in contract.schema
        if pa.types.is_integer(part.type) and part.type.bit_width < 64
    }


def called(node: ast.AST, name: str) -> ast.expr | None:
    """What `name` is called on, if this is `x.name(...)`."""
    return (
        node.func.value
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
        else None
    )


def is_name(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def column_of(node: ast.expr) -> str | None:
    """The column that `pl.col("x")` or `frame["x"]` names."""
    if is_name(called(node, "col"), "pl") and len(node.args) == 1:
        node = node.args[0]
    elif isinstance(node, ast.Subscript):
        node = node.slice
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def narrow_counts(source: str, narrow: set[str]) -> Iterator[str]:
    """Every count of Polars that is 32 bits wide, as it stands in the source."""
    tree = ast.parse(source)
    no_counts = {
        argument
        for node in ast.walk(tree)
        if is_name(called(node, "int_range"), "pl")
        for argument in node.args
    }
    no_counts |= {node.left for node in ast.walk(tree) if isinstance(node, ast.Compare)}
    for node in ast.walk(tree):
        if node in no_counts:
            continue  # a place in a group is made of it, or it is compared with a number
        of_list, summed = called(node, "len"), called(node, "sum")
        if is_name(of_list, "pl"):
            wrong = True
        elif of_list is not None:
            wrong = called(of_list, "group_by") is not None or (
                isinstance(of_list, ast.Attribute) and of_list.attr == "list"
            )
        elif summed is not None:
            truth = (
                isinstance(summed, ast.Compare | ast.BoolOp | ast.BinOp)
                and "pl.col" in ast.unparse(summed)
                and _is_truth(summed)
            )
            wrong = truth or column_of(summed) in narrow
        else:
            counted = called(node, "value_counts")
            wrong = counted is not None and not is_name(counted, "pc")  # pyarrow's are 64 bits wide
        if wrong:
            yield ast.unparse(node)


def _is_truth(node: ast.expr) -> bool:
    logical = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr)
    return isinstance(node, ast.Compare | ast.BoolOp) or logical


# Lengths of single lists, which become float64 before they are added up, or never are.
LENGTHS = {
    "reports/explorer/document.py": 1,
    "reports/metrics/token_overlap.py": 3,
}


def test_no_count_is_made_elsewhere() -> None:
    narrow, found = narrow_columns(), dict[str, list[str]]()
    assert {"tokens", "bytes", "eligible"} <= narrow
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            counts = list(narrow_counts(path.read_text(), narrow))
            if name != "data_contracts/counting.py" and len(counts) != LENGTHS.get(name, 0):
                found[name] = counts
    assert not found, "use data_contracts/counting.py, or say in LENGTHS why 32 bits are enough"


@pytest.mark.parametrize(
    "source",
    [
        "frame.group_by('a').agg(n=pl.len())",
        "frame.group_by('a').len()",
        "frame.select(pl.col('ids').list.len().sum())",
        "frame.select((pl.col('a') > 0).sum())",
        "frame.select(((pl.col('a') > 0) & (pl.col('b') > 0)).sum())",
        "frame['tokens'].sum()",
        "frame.select(pl.col('tokens').sum())",
        "frame['reason'].value_counts()",
    ],
)
def test_the_check_finds(source: str) -> None:
    assert list(narrow_counts(source, {"tokens"}))
