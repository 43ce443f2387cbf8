"""`rpt generate` on the finished pipeline: it reads what the evaluation read, and repeats itself."""

import json
import subprocess
import sys

import pytest

from data_contracts.contract import open_artifact
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from flows.commands.generate import place_of
from flows.commands.generate_text import Lines, print_read
from flows.workspace import ROOT
from stages import parameters
from stages.evaluation.generation import continuation_of, generated, run_of, trained
from stages.evaluation.sampling import Sampling
from tests.hostile import HOSTILE, acting, check_each


@pytest.fixture(scope="module")
def configuration(finished):
    return parameters.load(finished / "params.yaml")


@pytest.fixture(scope="module")
def document(finished, configuration):
    """The first evaluated document: its doc_id and its tokens."""
    for shard in (artifact := open_artifact(CHUNKS, finished / "artifacts/demo/chunks")).shards:
        rows = artifact.read(shard).to_pylist()
        ids = [row["doc_id"] for row in rows if row["split"] == configuration.evaluation.split]
        if ids:
            tokens = [token for row in rows if row["doc_id"] == ids[0] for token in row["token_ids"]]
            return ids[0], tokens[: configuration.evaluation.max_tokens_per_document]
    raise AssertionError("no document is evaluated")


@pytest.mark.parametrize("name", ["demo-rpt_sem", "demo-retro"])
def test_a_text_reads_what_an_evaluation_of_it_reads(name, finished, configuration, document):
    """Also by BM25, whose candidates an evaluation takes from mining."""
    doc_id, tokens = document
    rows = open_artifact(EVALUATIONS, finished / f"artifacts/demo/evaluations/{name}").read_all()
    read = {
        row["chunk"]: (row["retrieved"], row["token_losses"])
        for row in rows.to_pylist()
        if row["doc_id"] == doc_id and row["setting"] == "own"
    }
    text = continuation_of(configuration, name, finished / "artifacts", len(tokens))
    text.take(tokens[:-1])
    last = max(read)
    assert text.log_probs()[tokens[-1]] == pytest.approx(-read[last][1][-1], abs=2e-3)
    chosen = text.chosen()
    assert len(chosen) >= last
    for chunk in range(last):
        assert [j for j in chosen[chunk] if j >= 0] == read[chunk][0], chunk
    assert sum(len(read[chunk][0]) for chunk in range(last)) > 10


def test_the_same_seed_draws_the_same_text(finished, configuration, document):
    def drawn(seed: int, temperature: float = 1.0) -> list[int]:
        text = continuation_of(configuration, "demo-retro", finished / "artifacts", 200)
        return [*generated(text, document[1][:150], -1, Sampling(20, temperature, 1.0, seed))]

    assert drawn(0) == drawn(0) != drawn(1)
    assert drawn(0, 0.0) == drawn(1, 0.0)
    first = drawn(0)
    text = continuation_of(configuration, "demo-retro", finished / "artifacts", 200)
    assert [*generated(text, document[1][:150], first[4], Sampling(20, 1.0, 1.0, 0))] == first[
        : first.index(first[4])
    ]


def test_the_command_shows_text_and_what_was_read(finished, rpt, configuration, document):
    doc_id, _ = document
    asked = rpt(finished, "generate", "demo-rpt_sem", "--document", f"{doc_id}:9", "--tokens", "9", "--json")
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert (found["run"], found["system"], found["tokens"]) == ("demo-rpt_sem", "rpt_sem", 9)
    assert found["prompt_tokens"] == 10 * configuration.geometry.chunk_tokens
    assert [row["chunk"] for row in found["read"]] == [9] == [*{row["chunk"] for row in found["read"]}]
    assert all(neighbour["text"] for neighbour in found["read"][0]["neighbours"])
    unknown = rpt(finished, "generate", "demo-rpt_sem", "--document", "zzz:1")
    assert unknown.returncode == Exit.USAGE
    assert "no doc_id begins so" in unknown.stderr


def test_what_cannot_go_on_is_named(configuration, finished, tmp_path):
    with pytest.raises(Failure, match="training@demo-retro"):
        trained(configuration.runs["demo-retro"], "demo-retro", tmp_path)
    with pytest.raises(Failure, match="does not name it"):
        run_of(configuration, "demo-nothing")
    runs = configuration.runs | {
        "c": configuration.runs["demo-retro"].model_copy(update={"system": "retro_corpus"})
    }
    other = configuration.runs["demo-retro"].model_copy(update={"system": "rpt_sem"})
    changed = configuration.model_copy(update={"runs": {"demo-retro": other}})
    with pytest.raises(Failure, match="its model is a retro"):
        continuation_of(changed, "demo-retro", finished / "artifacts", 10)
    with pytest.raises(Failure, match="whole corpus"):
        run_of(configuration.model_copy(update={"runs": runs}), "c")
    for wrong in ("3f9a", ":4", "3f9a:x", "3f9a:-1"):
        with pytest.raises(Failure, match="names no chunk"):
            place_of(wrong)
    assert place_of("a:b:7") == ("a:b", 7)


def test_nothing_that_a_model_writes_acts_on_a_terminal(capsys):
    def check(text):
        lines = Lines()
        for character in text:  # a token may be a part of anything
            lines(character)
        lines.end()
        neighbour = {"chunk": 3, "text": text}
        read = [{"chunk": 9, "neighbours": [neighbour]}, {"chunk": 10, "neighbours": []}]
        print_read({"run": "r", "tokens": 5, "prompt_tokens": 7, "read": read})
        output = capsys.readouterr().out
        assert not acting(output)
        assert "after chunk 9: chunk 3 «" in output
        assert "after chunk 10: nothing was read" in output

    check_each(HOSTILE, check)


def test_jax_is_told_of_its_cache_before_it_is_imported():
    asked = (
        "import sys, flows.commands.generate, flows.commands.generate_text; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def test_a_file_is_named_from_where_the_command_is_called(tmp_path):
    (tmp_path / "draft.txt").write_bytes(b"\xff no UTF-8")
    command = [str(ROOT / "rpt"), "generate", "nobody", "--file", "draft.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.USAGE
    assert f"{tmp_path / 'draft.txt'}" in done.stderr
    assert "can't decode byte 0xff" in done.stderr
