"""Links are followed and end, names with marks are the files that they are, and what lies beside the data is
said.
"""

import os

import fsspec
import pytest

from data_contracts.failure import Exit, Failure
from stages.ingestion.inventory import content_identity
from stages.ingestion.readers import read_file
from stages.ingestion.records import Record
from stages.ingestion.sources import open_binary, source_files
from stages.parameters import Corpus
from tests.nasty import lines, prose


def listed(source, **options) -> dict[str, str]:
    """name -> why it is not read, empty for what is."""
    return {
        file.name: file.refusal[1] if file.refusal else ""
        for file in source_files(Corpus(source=str(source), **options))
    }


def data(source, **options) -> list[str]:
    return [name for name, why in listed(source, **options).items() if not why]


def write(folder, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(prose(number))


def test_links_to_files_and_folders_are_followed(tmp_path):
    write(tmp_path, "elsewhere/x.txt", "elsewhere/deep/y.txt", "in/a.txt", "in/sub/b.txt")
    (tmp_path / "in" / "file.txt").symlink_to(tmp_path / "elsewhere" / "x.txt")
    (tmp_path / "in" / "again.txt").symlink_to("a.txt")
    (tmp_path / "in" / "chain.txt").symlink_to("again.txt")
    (tmp_path / "in" / "folder").symlink_to("../elsewhere")
    (tmp_path / "in" / "twice").symlink_to("sub")
    everything = [
        "a.txt",
        "again.txt",
        "chain.txt",
        "file.txt",
        "folder/deep/y.txt",
        "folder/x.txt",
        "sub/b.txt",
        "twice/b.txt",
    ]
    assert (
        data(tmp_path / "in")
        == data(tmp_path / "in" / "**")
        == data(tmp_path / "in" / "**" / "*.txt")
        == everything
    )
    assert data(tmp_path / "in" / "folder") == ["deep/y.txt", "x.txt"]
    assert data(tmp_path / "in" / "file.txt") == ["file.txt"]
    assert data(tmp_path / "in" / "*" / "*.txt") == ["folder/x.txt", "sub/b.txt", "twice/b.txt"]
    assert open_binary(
        source_files(Corpus(source=str(tmp_path / "in" / "file.txt")))[0]
    ).read().decode() == prose(0)


def test_circles_of_links_end_and_are_said(tmp_path):
    write(tmp_path, "in/a.txt", "in/sub/b.txt", "beside/c.txt")
    (tmp_path / "in" / "self").symlink_to(".")
    (tmp_path / "in" / "sub" / "up").symlink_to("..")
    (tmp_path / "in" / "beside").symlink_to("../beside")
    (tmp_path / "beside" / "back").symlink_to("../in")
    (tmp_path / "in" / "loop").symlink_to("loop")
    (tmp_path / "in" / "gone.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    found = listed(tmp_path / "in")
    assert [name for name, why in found.items() if not why] == ["a.txt", "beside/c.txt", "sub/b.txt"]
    circle = "a link to a folder that it lies in, whose files are read there"
    assert {name: why for name, why in found.items() if why} == {
        "beside/back": circle,
        "gone.txt": "a link that leads nowhere",
        "loop": "a link that leads nowhere",
        "pipe": "neither a file nor a folder",
        "self": circle,
        "sub/up": circle,
    }
    corpus = Corpus(source=str(tmp_path / "in"))
    inputs = [item for file in source_files(corpus) for item in read_file(file, corpus)]
    assert len(inputs) == 9
    assert sum(isinstance(item, Record) for item in inputs) == 3
    assert all(content_identity(file, {}, {}) for file in source_files(corpus))


def test_a_link_that_leads_nowhere_is_no_corpus(tmp_path):
    (tmp_path / "gone.txt").symlink_to("nowhere")
    with pytest.raises(
        Failure, match=r"none of the 1 entries is data, first: gone\.txt \(a link that leads nowhere\)"
    ) as failure:
        listed(tmp_path / "gone.txt")
    assert failure.value.code == Exit.USAGE


MARKED = [
    "std::vector.txt",
    "a b.txt",
    "C#.txt",
    "100%.txt",
    "%20.txt",
    "what?.txt",
    "[1].txt",
    "*x.txt",
    "a;b&c.txt",
    "gs:x.txt",
    "~.txt",
]
MARKED += ["file::zip::y.txt", "!.txt", "{a,b}.txt", "back\\slash.txt"]


@pytest.mark.parametrize("folder", ["plain", "set [2019]", "C::x", "50% #1", "a*b?", "**"])
def test_names_with_marks_are_the_files_that_they_are(tmp_path, folder, monkeypatch):
    write(tmp_path / folder / "txt", *MARKED)
    write(tmp_path, "set 2/txt/other.txt", "axbx/txt/other.txt")
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / folder, folder):
        assert (
            sorted(data(f"{place}/txt"))
            == sorted(data(f"{place}/txt/*"))
            == sorted(data(f"{place}/txt/*.txt"))
            == sorted(MARKED)
        )
        for number, name in enumerate(MARKED):
            (file,) = source_files(Corpus(source=f"{place}/txt/{name}"))
            assert (file.name, open_binary(file).read().decode()) == (name, prose(number))
            assert content_identity(file, {}, {}).startswith("sha256:")


def test_a_name_with_marks_behind_a_pattern(tmp_path):
    write(tmp_path, "a/set [2019]/x.txt", "b/set [2019]/y.txt", "b/set 2/z.txt")
    assert data(tmp_path / "*" / "set [2019]" / "*.txt") == [
        "a/set [2019]/x.txt",
        "b/set 2/z.txt",
        "b/set [2019]/y.txt",
    ]
    assert data(tmp_path / "[a]" / "**" / "[!y]*") == ["a/set [2019]/x.txt"]


def test_a_name_that_is_no_unicode(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(path, "w") as file:
        file.write(prose(1))
    (found,) = source_files(Corpus(source=str(tmp_path)))
    assert found.name == "caf\\xe9.txt"
    assert open_binary(found).read().decode() == prose(1)


def test_marks_in_names_of_a_store():
    store = fsspec.filesystem("memory")
    for name in ("set [2019]/std::vector.txt", "set [2019]/C#.txt", "set 2/x.txt"):
        store.pipe(f"/marks/{name}", name.encode())
    files = source_files(Corpus(source="memory://marks/set [2019]/*.txt"))
    assert [(file.name, open_binary(file).read().decode()) for file in files] == [
        ("C#.txt", "set [2019]/C#.txt"),
        ("std::vector.txt", "set [2019]/std::vector.txt"),
    ]


CLONE = ["data/a-00000-of-00001.parquet", "data/b.jsonl.gz", "notes.txt"]
BESIDE = [
    "README.md",
    "LICENSE",
    "dataset_infos.json",
    "a_loader.py",
    "data/checks.md5",
    "stats.csv",
    "docs/page.html",
    "_SUCCESS",
]


def test_what_lies_beside_records_is_left_out_and_said(tmp_path):
    write(
        tmp_path,
        *CLONE,
        *BESIDE,
        ".gitattributes",
        ".git/config",
        ".git/objects/aa/bb",
        ".cache/huggingface/x.lock",
        "data/.hidden",
    )
    found = listed(tmp_path)
    assert [name for name, why in found.items() if not why] == CLONE
    hidden = {name: why for name, why in found.items() if "hidden" in why}
    assert hidden == {
        ".cache": "a hidden folder",
        ".git": "a hidden folder",
        ".gitattributes": "a hidden file",
        "data/.hidden": "a hidden file",
    }
    assert set(found) - set(CLONE) - set(hidden) == set(BESIDE)
    assert data(tmp_path, include=("*.html", "README*", "data/b*")) == [
        "README.md",
        "data/b.jsonl.gz",
        "docs/page.html",
    ]
    assert data(tmp_path / "README.md") == ["README.md"]
    assert data(tmp_path / ".git" / "*") == ["config"]
    assert data(tmp_path / ".*") == [".gitattributes"]


@pytest.mark.parametrize("records", ["c4.00.json.gz", "a.json.zst", "large.json"])
def test_json_is_data_where_it_is_compressed_or_most_of_the_bytes(tmp_path, records):
    write(tmp_path, records, "loader.py", "urls.txt")
    (tmp_path / records).write_text(prose(1, 2000))
    assert data(tmp_path) == sorted([records, "urls.txt"])
    write(tmp_path / "code", "package.json", "a.js", "b.js")
    assert data(tmp_path / "code") == ["a.js", "b.js", "package.json"]


def test_what_lies_beside_texts_is_left_out_and_said(tmp_path):
    write(
        tmp_path,
        "a.txt",
        "b.tex",
        "c.md",
        "READINGS.txt",
        "licensed.txt",
        "README.txt",
        "License.md",
        "README_de.md",
        "SHA256SUMS",
    )
    found = listed(tmp_path)
    assert [name for name, why in found.items() if not why] == [
        "READINGS.txt",
        "a.txt",
        "b.tex",
        "c.md",
        "licensed.txt",
    ]
    assert all("corpora.<name>.include names it" in why for why in found.values() if why)


def test_descriptions_are_data_where_there_is_nothing_else_and_in_repositories(tmp_path):
    write(tmp_path, "a/README.md", "b/README.md")
    assert data(tmp_path) == ["a/README.md", "b/README.md"]
    write(tmp_path, "a/x.py", "a/.git/config")
    assert listed(tmp_path, group="directory") == {
        "a/.git": "a hidden folder",
        "a/README.md": "",
        "a/x.py": "",
        "b/README.md": "",
    }


def test_a_store_has_hidden_files_and_descriptions_too():
    store = fsspec.filesystem("memory")
    for name in ("README.md", ".gitattributes", ".cache/a/b", ".cache/a/c", "data/x.jsonl"):
        store.pipe(f"/clone/{name}", lines({"text": prose(1)}))
    found = listed("memory://clone")
    assert [name for name, why in found.items() if not why] == ["data/x.jsonl"]
    assert set(found) == {"README.md", ".gitattributes", ".cache", "data/x.jsonl"}


def test_what_is_not_read_does_not_make_the_corpus_another(tmp_path):
    write(tmp_path, "a.txt", "README.md")
    before = source_files(Corpus(source=str(tmp_path)))
    (tmp_path / "README.md").write_text("more")
    assert source_files(Corpus(source=str(tmp_path))) == before
