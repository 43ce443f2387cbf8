"""`rpt labels publish`: a folder that the Hub's library reads, and a dataset that holds it and no more."""

import re
import shutil

import polars as pl
import pytest
from huggingface_hub import constants

from data_contracts.candidates import LABELS
from data_contracts.failure import Exit, Failure
from flows.labels import publish as module
from flows.labels import versions as label_versions
from flows.labels.commands import labels
from reports.metrics.figures_file import as_json
from tests.flows.labels.dataset_hub import NAME, serving
from tests.reports.label_sample import label_report, made_up_set, report_of

SPLITS = ["train", "validation", "test"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A corpus with labels and their report."""
    home = tmp_path_factory.mktemp("corpus")
    (home / "label_report").mkdir()
    report = label_report(made_up_set(home))
    (home / "label_report" / "statistics.json").write_text(as_json(report_of(report)))
    return home


@pytest.fixture
def publish(home, tmp_path, monkeypatch, capsys):
    """Publishes to the folder `made` and returns what was said; the index is that of the fixture."""
    monkeypatch.setattr(label_versions, "INDEX", home / "cache")
    monkeypatch.setenv("RPT_CALLED_FROM", str(tmp_path))

    def publish(*arguments: str) -> str:
        labels(["publish", str(home), "made", *arguments], result_action="return_value")
        return capsys.readouterr().out

    return publish


def rows_of(home, name: str) -> pl.DataFrame:
    return pl.read_parquet(home / name / "*.parquet")


def test_datasets_reads_the_folder_by_its_card(publish, home, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(module, "PAIRS_A_FILE", 400)  # so that there are several
    import datasets

    publish("--texts")
    place, cache = str(tmp_path / "made"), str(tmp_path / "cache")
    assert len([*(tmp_path / "made" / "labels").glob("train-*-of-*.parquet")]) > 1
    assert datasets.get_dataset_config_names(place) == ["labels", "chunks"]
    loaded = datasets.load_dataset(place, cache_dir=cache)
    assert sorted(loaded) == sorted(SPLITS)
    expected = rows_of(home, "labels")
    for split, rows in loaded.items():
        assert rows.features == datasets.Features.from_arrow_schema(LABELS.schema)
        of_split = expected.filter(pl.col("split") == split)
        assert rows.data.table.to_pylist() == of_split.to_arrow().cast(LABELS.schema).to_pylist()
    chunks = datasets.load_dataset(place, "chunks", split="test", cache_dir=cache)
    texts = rows_of(home, "chunks").filter(pl.col("split") == "test").select("doc_id", "chunk", "text")
    assert chunks.to_list() == texts.to_dicts()
    card = (tmp_path / "made" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    found: dict = {}
    exec(code.replace('"USER/NAME"', repr(place)).replace(")", f", cache_dir={cache!r})"), found)
    assert set(found["train"]["split"]) == {"train"}
    assert found["chunks"].column_names == ["doc_id", "chunk", "text"]


def test_without_asking_no_text_is_there_and_an_older_folder_is_replaced_whole(publish, tmp_path):
    publish("--texts")
    publish()
    made = tmp_path / "made"
    assert sorted(path.name for path in made.iterdir()) == ["README.md", "labels", "statistics.json"]
    for file in made.rglob("*.parquet"):
        assert "text" not in pl.read_parquet_schema(file)
    (made / "thesis.tex").write_text("mine")
    with pytest.raises(Failure, match=r"thesis\.tex") as failure:
        publish()
    assert failure.value.code == Exit.USAGE
    assert (made / "thesis.tex").exists()


def test_only_a_folder_that_was_written_so_is_replaced(publish, tmp_path):
    made, real = tmp_path / "made", tmp_path / "real"
    made.write_text("mine")
    with pytest.raises(Failure, match="it is a file"):
        publish()
    made.unlink()
    made.mkdir()
    (made / "README.md").write_text("---\npretty_name: mine\n")
    (made / "statistics.json").write_text("{}")
    with pytest.raises(Failure, match=r"no statistics\.json beside a README\.md that this command wrote"):
        publish()
    assert (made / "README.md").read_text().endswith("mine\n")
    shutil.rmtree(made)
    real.mkdir()
    made.symlink_to(real)
    publish()
    publish()
    assert made.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "real"]
    (real / "statistics.json").unlink()
    with pytest.raises(Failure, match="would be replaced"):
        publish()


def test_where_the_new_folder_cannot_come_the_old_one_stays(publish, tmp_path, monkeypatch):
    publish("--texts")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", lambda *_: None)  # so that there is nothing to put there
        with pytest.raises(Failure, match="cannot be written"):
            publish()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "chunks").is_dir()


def test_a_report_of_other_labels_makes_no_card(publish, home, tmp_path):
    report = home / "label_report" / "statistics.json"
    before = report.read_text()
    try:
        report.write_text(re.sub(r'"labels": "[0-9a-f]+"', f'"labels": "{"0" * 64}"', before))
        with pytest.raises(Failure, match=r"of other labels.*rpt labels report"):
            publish()
        report.unlink()
        with pytest.raises(Failure, match="there is no report"):
            publish()
    finally:
        report.write_text(before)
    assert not (tmp_path / "made").exists()


def test_a_dataset_of_the_hub_holds_the_folder_and_nothing_older(publish, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        said = publish("--to", NAME)
        assert f"{NAME}, which is new: " in said
        assert said.endswith("nothing was sent; --yes does it\n")
        assert hub.files is None
        hub.knows_you = False
        with pytest.raises(Failure, match=r"hf auth login") as failure:
            publish("--to", NAME, "--yes")
        assert failure.value.code == Exit.ENVIRONMENT
        hub.knows_you = True
        publish("--to", NAME, "--private", "--yes")
        assert hub.private
        assert hub.files is not None
        hub.knows_you = False
        with pytest.raises(Failure, match=r"hf auth login"):
            publish("--to", NAME, "--yes")
        hub.knows_you = True
        hub.files |= {"labels/part-00000.parquet": b"old", ".gitattributes": b"the hub's"}
        said = publish("--to", NAME)
        assert re.search(r"delete +labels/part-00000\.parquet\n", said)
        assert "1 deleted\n" in said
        assert "labels/part-00000.parquet" in hub.files
        publish("--to", NAME, "--yes")
        made = tmp_path / "made"
        here = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
        assert set(hub.files) == here | {".gitattributes"}
        assert all(hub.files[name] == (made / name).read_bytes() for name in here)
        assert hub.commits == 2


def test_texts_without_a_licence_are_not_sent(publish, home, monkeypatch):
    report = home / "label_report" / "statistics.json"
    before = report.read_text()
    try:
        report.write_text(before.replace('"MIT"', '""'))
        with pytest.raises(Failure, match=r"state no licence.*corpora\.demo\.license"):
            publish("--texts", "--to", NAME)
    finally:
        report.write_text(before)
