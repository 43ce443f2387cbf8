"""docs/guides/add-a-stage.md followed step by step: its stage reads, counts, writes and agrees with its entry
in the graph.
"""

import re
import sys
from types import ModuleType

import numpy as np
import pytest
from ruamel.yaml import YAML

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Failure
from data_contracts.tokens import CHUNKS
from stages.runner.shards import write_one
from stages.runner.stage import CORPUS_STAGES, ShardStage, load_stage
from tests.docs.pages import blocks, text_of

GUIDE = "docs/guides/add-a-stage.md"
PATHS = re.findall(r"Write `([^`]+)`", text_of(GUIDE))


@pytest.fixture
def written(monkeypatch):
    """The modules that the guide writes, by path."""
    monkeypatch.setitem(CORPUS_STAGES, "diversity", "mining.diversity")
    modules = {}
    for path, block in zip(PATHS, blocks(GUIDE, "python"), strict=True):
        module = ModuleType(path.removesuffix(".py").replace("/", "."))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(block.text, path, "exec"), module.__dict__)
        modules[path] = module
    return modules


def test_the_test_of_the_guide_passes_and_can_fail(written, make_chunks, monkeypatch):
    tests = written["tests/stages/mining/test_diversity.py"]
    tests.test_different_tokens_are_counted(make_chunks)
    monkeypatch.setattr(tests, "diversity", lambda chunks: chunks)
    with pytest.raises(Failure):
        tests.test_different_tokens_are_counted(make_chunks)


def test_a_shard_of_the_stage_is_written_and_read_back(written, make_chunks, tmp_path):
    stage = load_stage("diversity")
    assert isinstance(stage, ShardStage)
    chunks, scratch = tmp_path / "chunks", tmp_path / "scratch"
    chunks.mkdir()
    scratch.mkdir()
    table = make_chunks({"d": ("train", np.arange(20) % 5)})
    write_shard(CHUNKS, table, chunks / "part-00000.parquet")
    commit(CHUNKS, chunks)
    write_one("part-00000.parquet", scratch, "diversity", [chunks], {})
    commit(stage.writes, scratch)
    assert open_artifact(stage.writes, scratch).read_all().column("distinct").to_pylist() == [5, 5, 4]


def test_the_contract_refuses_what_the_guide_says_it_refuses(written):
    contract = written["data_contracts/diversity.py"].DIVERSITY
    with pytest.raises(Failure, match="without a token"):
        contract.validate(contract.table({"doc_id": ["d"], "chunk": [0], "distinct": [0]}), "a table")


def test_the_entry_in_the_graph_is_that_of_the_stage(written):
    (block,) = blocks(GUIDE, "yaml")
    ((name, entry),) = YAML(typ="safe").load(block.text).items()
    stage = load_stage(name)
    assert isinstance(stage, ShardStage)
    assert (stage.name, stage.output, stage.sections) == (name, name, ())
    assert "params" not in entry["do"]
    assert entry["do"]["cmd"] == f"python -m stages {name} ${{key}}"
    assert entry["do"]["outs"] == [f"artifacts/${{key}}/{stage.output}"]
    read = [f"artifacts/${{key}}/{contract.name}" for contract in stage.reads]
    assert entry["do"]["deps"] == [f"sources/code/{name}.txt", *read]
    assert PATHS[:2] == [f"data_contracts/{name}.py", f"stages/{CORPUS_STAGES[name].replace('.', '/')}.py"]
