"""`rpt labels stats`, `show` and `diff` on label sets whose every text, id and source is hostile, in a pipe
and on a terminal.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set, make_label_set
from data_contracts.failure import Failure
from flows.labels import versions as label_versions
from flows.labels.commands import labels
from tests.hostile import STORABLE, acting, read_back
from tests.pipelines import environment, private

CHUNKS = len(STORABLE)
SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """`ids`: a document for each hostile text, which is its id and its source. `texts`: one document with a
    chunk of each.
    """
    home = tmp_path_factory.mktemp("corpora")
    make_label_set(
        home / "ids",
        documents=CHUNKS,
        chunks=9,
        candidates=2,
        source=lambda n: STORABLE[-n - 1],
        doc_id=lambda n: STORABLE[n],
    )
    in_turn = iter(STORABLE * 2)
    make_label_set(
        home / "texts",
        documents=2,
        chunks=CHUNKS,
        candidates=5,
        text=lambda rng: next(in_turn),
        source=lambda n: STORABLE[n],
    )

    for name, moved in (
        ("ids", pl.col("query_chunk") == 7),
        ("texts", pl.col("doc_id") == pl.col("doc_id").first()),
    ):
        alter_label_set(home / name / "labels", home / f"{name} noisier", noisier(moved))
    return home


def noisier(moved: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Lets every pair score worse, those that are `moved` by far, and most of all the first of each query."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        noise = np.abs(np.random.default_rng(0).normal(0, 3, len(rows)).astype(np.float32))
        worse = pl.Series(noise) + 100 * moved.cast(pl.Float32) * (1 + (pl.col("rank") == 0).cast(pl.Float32))
        return rows.with_columns(candidate_logprob=pl.col("candidate_logprob") - worse)

    return change


@pytest.fixture
def run(home, monkeypatch, capsys):
    """What a command prints; `width` columns of a terminal with colours, or a pipe."""
    monkeypatch.setattr(label_versions, "INDEX", home / "index")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(*arguments: object, width: int | None = None, **environment: str) -> str:
        if width:
            environment |= {"FORCE_COLOR": "1", "COLUMNS": str(width), "TERM": "xterm-256color"}
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert labels(list(map(str, arguments)), result_action="return_value") == 0
        return capsys.readouterr().out

    return run


def blocks(output: str) -> list[str]:
    """The texts behind margins, as they were before they were shown."""
    found: list[list[str]] = []
    inside = False
    for line in output.split("\n"):
        if line[:2] == "┆ ":
            found[-1][-1] += line[2:]
        elif line[:2] == "│ " and inside:
            found[-1].append(line[2:])
        elif line[:2] == "│ ":
            found.append([line[2:]])
        inside = line[:2] in ("│ ", "┆ ")
    return [read_back("\n".join(lines)) for lines in found]


def test_stats_show_every_id_and_source_and_nothing_acts(home, run):
    output = run("stats", home / "ids", "--documents", 1000)
    assert not acting(output)
    lines = output.split("\n")
    begin = next(number for number, line in enumerate(lines) if line.startswith("document "))
    rows = lines[begin + 1 : begin + 1 + CHUNKS]
    split = re.compile(r" +(?:train|validation|test) +\d+ +[\d.]+% +[+-][\d.]+  .{24}  ")
    shown = [split.split(row, maxsplit=1) for row in rows]
    assert [read_back(doc_id).rstrip() for doc_id, _ in shown] == [text.rstrip() for text in STORABLE]
    assert [read_back(source) for _, source in shown] == STORABLE[::-1]


@pytest.mark.parametrize("width", [40, 80, 140])
def test_stats_on_a_terminal_fit_it_and_hold_no_escape_but_colours(home, run, width):
    output = run("stats", home / "ids", "--documents", 1000, width=width)
    plain = SGR.sub("", output)
    assert plain != output
    assert not acting(plain)


def test_show_gives_every_text_back_and_nothing_acts(home, run):
    seen = set()
    for query in [*range(4, CHUNKS - 1, 2), CHUNKS - 2]:
        output = run("show", f"0000000000000000:{query}", home / "texts", "--candidates", 5, "--no-gains")
        assert not acting(output)
        view = json.loads(run("show", f"0000000000000000:{query}", home / "texts", "--no-gains", "--json"))
        texts = [view["query"], view["target"]]
        texts += [
            text
            for candidate in view["candidates"]
            for text in (candidate["text"], candidate["continuation"])
        ]
        assert texts[:2] == STORABLE[query : query + 2]
        assert blocks(output) == texts
        seen |= set(texts)
    assert seen == set(STORABLE)


@pytest.mark.parametrize("width", [50, 80])
def test_lines_that_a_terminal_cannot_hold_are_folded_and_can_be_read_back(home, run, width):
    from rich.cells import cell_len

    for query in range(6, CHUNKS - 1, 7):
        output = run(
            "show", f"0000000000000000:{query}", home / "texts", "--candidates", 2, "--no-gains", width=width
        )
        plain = SGR.sub("", output)
        assert not acting(plain)
        assert blocks(plain)[:2] == STORABLE[query : query + 2]
        assert all(cell_len(line) <= width for line in plain.split("\n") if line[:2] in ("│ ", "┆ "))


def test_json_is_ascii_and_exact(home, run):
    output = run("stats", home / "ids", "--json", "--documents", 1000)
    assert not acting(output)
    assert output.isascii()
    documents = json.loads(output)["documents"]
    assert [document["doc_id"] for document in documents] == STORABLE
    assert [document["source"] for document in documents] == STORABLE[::-1]


@pytest.mark.parametrize(("name", "moved"), [("ids", CHUNKS), ("texts", CHUNKS - 5)])
def test_diff_shows_movers_and_nothing_acts(home, run, name, moved):
    versions = home / name, home / f"{name} noisier"
    result = json.loads(run("diff", *versions, "--movers", moved, "--json"))
    output = run("diff", *versions, "--movers", moved)
    assert not acting(output)
    chunks = pl.read_parquet(home / name / "chunks" / "*.parquet")
    text = {
        (doc_id, chunk): text for doc_id, chunk, text in chunks.select("doc_id", "chunk", "text").iter_rows()
    }
    targets = [line[21:] for line in output.split("\n") if line.startswith("          target     ")]
    expected = [
        text[row["doc_id"], row["query_chunk"] + 1] for row in [*result["movers"], *result["best_movers"]]
    ]
    assert list(map(read_back, targets)) == expected
    for rows in (result["movers"], result["best_movers"]):
        shown = {
            row["doc_id"] if name == "ids" else text[row["doc_id"], row["query_chunk"] + 1] for row in rows
        }
        assert shown == set(STORABLE[CHUNKS - moved :])
    for width in (60, 140):
        assert not acting(SGR.sub("", run("diff", *versions, "--movers", 40, width=width)))


def test_diff_of_a_version_with_itself_says_so(home, run):
    assert "no score changed" in run("diff", home / "texts", home / "texts")
    assert "no score changed" not in run("diff", home / "texts", home / "texts noisier", "--movers", 0)


def test_no_color_means_not_one_escape(home, run):
    arguments = ("show", "0000000000000000:20", home / "texts", "--no-gains")
    assert "\x1b" in run(*arguments, width=80)
    assert "\x1b" not in run(*arguments, width=80, NO_COLOR="1")
    assert "\x1b" not in run(*arguments)


def test_documents_are_found_by_the_beginning_of_an_id_and_by_source(home, run):
    whole = run("show", "0000000000000000:20", home / "texts", "--no-gains")
    assert run("show", "000:20", home / "texts", "--no-gains") == whole
    assert run("show", f"{STORABLE[0]}:20", home / "texts", "--no-gains") == whole
    for number in range(0, CHUNKS, 4):
        view = json.loads(run("show", "--no-gains", "--json", "--", f"{STORABLE[number]}:5", home / "ids"))
        assert (view["doc_id"], view["source"]) == (STORABLE[number], STORABLE[-number - 1])


def test_candidates_are_ordered_as_asked(home, run):
    for by, key in (("score", lambda row: -row["target_score"]), ("bm25", lambda row: row["rank"])):
        view = json.loads(
            run("show", "0000000000000000:30", home / "texts", "--no-gains", "--by", by, "--json")
        )
        assert len(view["candidates"]) == 5
        assert view["candidates"] == sorted(view["candidates"], key=key)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("0000000000000000", "names no chunk"),
        ("0000000000000000:x", "names no chunk"),
        ("0000000000000000:2", "nearest are 4, 5, 6, 7, 8"),
        ("nothing:7", "no doc_id begins so"),
        (":7", "2 documents are meant"),
        ("\x1b[31m:7", r"\\x1b\[31m"),
    ],
)
def test_a_place_that_is_none_is_explained(home, run, place, said):
    with pytest.raises(Failure, match=said) as failure:
        run("show", place, home / "texts", "--no-gains")
    assert failure.value.code == 2


def test_the_command_line_as_a_person_calls_it(home, project, rpt, tmp_path, monkeypatch):
    """One process each: exit codes, errors on standard error with nothing that acts, a pipe that is closed
    early.
    """
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    root = private(project, tmp_path / "project")
    done = rpt(root, "labels", "stats", str(home / "ids"))
    assert (done.returncode, done.stderr) == (0, "")
    assert not acting(done.stdout)
    refused = rpt(root, "labels", "show", "\x1b]0;title\x07\u202e:7", str(home / "texts"))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert not acting(refused.stderr)
    assert "remedy:" in refused.stderr
    closed = f"{sys.executable} -m flows.cli labels stats '{home / 'ids'}' --documents 1000 | head -n 1"
    bash = ["bash", "-o", "pipefail", "-c", closed]
    done = subprocess.run(bash, cwd=root, env=environment(root), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


@pytest.mark.parametrize("command", ["stats", "show", "diff", "export"])
def test_every_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit) as done:
        labels([command, "--help"])
    assert not done.value.code
    output = capsys.readouterr().out
    assert f"./rpt labels {command}" in output.replace("\n", " ")
    assert "Usage: rpt labels " in output
