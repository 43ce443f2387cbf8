"""What the guides and the architecture say of the code is so."""

import ast
import re

import pytest
from ruamel.yaml import YAML

from data_contracts.failure import Exit
from data_contracts.systems import RECORDS
from reports.metrics.gates import GATES
from stages.parameters import check
from stages.runner.stage import CORPUS_STAGES, RAY_STAGES, RUN_STAGES, load_stage
from tests.docs.pages import ROOT, blocks, text_of

CONFIGURATION = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
ASKED_FOR = {
    "start",
    "dense_retriever",
    "dense_evaluation",
    "keys",
    "index",
    "corpus_neighbours",
    "realm_start",
    "realm",
    "realm_answers",
}


def first_cells(page: str, heading: str = "") -> list[str]:
    """The names in code style of the first column of the first table below a heading."""
    section = text_of(page).split(f"\n## {heading}\n")[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table
    return [
        name for line in table[0].splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]


def test_the_architecture_has_every_stage_in_the_order_of_the_graph():
    assert sorted(first_cells("docs/architecture.md", "How data flows")) == sorted(
        (*CORPUS_STAGES, *RUN_STAGES)
    )


def test_the_picture_of_data_has_every_stage_that_runs_by_default_and_marks_those_on_ray():
    text = text_of("docs/data_flow.svg")
    boxes = re.findall(
        r'<rect class="box [^\n]*?/>(<rect class="ray"[^\n]*/>)?\s*<text class="name"[^>]*>([^<]+)<', text
    )
    drawn = {name.strip(): bool(ray) for ray, names in boxes for name in names.split(",")}
    drawn |= {f"{name}_supervision": drawn.pop(name) for name in ("lexical", "query")}
    del drawn["text"]
    assert set(drawn) == {*CORPUS_STAGES, *RUN_STAGES} - ASKED_FOR
    assert {name for name, ray in drawn.items() if ray} == set(RAY_STAGES) - ASKED_FOR


def test_the_entries_for_a_second_corpus_are_valid():
    (block,) = blocks("docs/guides/your-corpus.md", "yaml")
    added = YAML(typ="safe").load(block.text)
    assert set(added) == {"corpora", "runs"}
    together = check(CONFIGURATION | {section: CONFIGURATION[section] | added[section] for section in added})
    alone = check(CONFIGURATION | added)
    assert set(together.corpora) == {"demo", "thesis"}
    assert {run.corpus for run in alone.runs.values()} == {"thesis"}


def test_the_keys_of_a_corpus_are_those_of_the_code():
    named = {key.split(":")[0] for key in first_cells("docs/guides/your-corpus.md", "What a source may be")}
    from stages.parameters import Corpus

    assert named <= set(Corpus.model_fields)


def test_every_exit_code_is_explained():
    rows = re.findall(r"^\| (\d+) \|", text_of("docs/guides/when-a-run-fails.md"), re.MULTILINE)
    assert list(map(int, rows)) == [code.value for code in Exit]


def test_the_gates_are_those_of_the_code():
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+\? \| ([^|]+) \|", text_of("docs/guides/read-labels.md"), re.MULTILINE
    )
    assert [name for name, _ in rows] == [gate.name for gate in GATES]
    limits = {
        "planted copy": [0.5],
        "BM25 over chance": [0],
        "split-half correlation": [0.2],
        "positive rate": [0.02, 0.6],
    }
    for gate in GATES:
        if gate.name in limits:
            assert [value for value in (gate.least, gate.most) if value is not None] == limits[gate.name]
            said = [
                float(number) / (100 if "%" in dict(rows)[gate.name] else 1)
                for number in re.findall(r"[\d.]+", dict(rows)[gate.name])
            ]
            assert said == limits[gate.name]


def test_the_systems_are_those_that_can_be_compared():
    named, first = [], ""
    for name in first_cells("docs/guides/compare.md", "Systems"):
        first = first if name.startswith("_") else name
        base = {"transformer_xl_plus_2": "transformer_xl", "rpt_sem_gold_only": "rpt_sem"}.get(first, first)
        named.append(base + name if name.startswith("_") else name)
    assert sorted(named) == sorted(RECORDS)


@pytest.mark.parametrize("page", ["docs/guides/read-labels.md"])
def test_the_python_of_a_guide_runs(workspace, page):
    names: dict[str, object] = {}
    found = []
    for block in blocks(page, "python"):
        tree = ast.parse(block.text)
        last = tree.body.pop()
        assert isinstance(last, ast.Expr)
        exec(compile(tree, page, "exec"), names)
        found.append(eval(compile(ast.Expression(last.value), page, "eval"), names))  # noqa: S307
    rates, meaning = found
    assert rates["split"].to_list() == ["test"]
    assert 0 < rates["target_score"][0] < 1
    assert meaning[b"unit"] == b"nats"


def test_the_guide_to_devices_names_the_stages_that_take_every_accelerator():
    text = text_of("docs/guides/devices.md")
    (row,) = re.findall(r"^\| every accelerator of the cluster \|(.*?)\|", text, re.MULTILINE)
    assert set(re.findall("`([^`]+)`", row)) == {
        name for name in RAY_STAGES if getattr(load_stage(name), "cpus", 1) == 0
    }
    named = set(re.findall("`([a-z_]+)`", text.split("## Packages")[0]))
    assert named - {"ledger"} <= {*CORPUS_STAGES, *RUN_STAGES}
