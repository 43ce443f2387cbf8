"""docs/files.md, docs/commands.md and docs/report.schema.json are what `./rpt docs` writes."""

import pytest

from flows.cli import app
from flows.commands import documentation
from tests.docs.pages import GENERATED, ROOT, text_of


@pytest.fixture(scope="module")
def pages():
    return documentation.pages(app)


@pytest.mark.parametrize("page", GENERATED)
def test_a_generated_page_is_up_to_date(pages, page):
    assert text_of(page) == pages[page], f"{page} is out of date: run ./rpt docs"


def test_the_command_writes_what_has_changed(pages, monkeypatch, tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(documentation, "ROOT", tmp_path)
    monkeypatch.setattr(documentation, "pages", lambda app: pages)
    for said in ("\n".join(GENERATED), "nothing to change"):
        assert app(["docs"], result_action="return_value") == 0
        assert capsys.readouterr().out == f"{said}\n"
        assert {page: (tmp_path / page).read_text() for page in GENERATED} == pages
    (tmp_path / GENERATED[0]).write_text("edited by hand")
    assert documentation.write_pages(app) == [GENERATED[0]]


def test_every_file_of_code_says_what_it_is(pages):
    lines = pages["docs/files.md"].splitlines()
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in documentation.FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    ]
    for file in files:
        if not file.endswith("__init__.py"):
            (line,) = [line for line in lines if f"](../{file}): " in line]
            assert len(line.split("): ", 1)[1]) > 20, file


def test_every_command_is_there_with_its_own_usage(pages):
    text = pages["docs/commands.md"]
    for name in app:
        if not name.startswith("-"):
            assert f"\n## rpt {name}\n" in text
    assert "\n./rpt labels show DOC:CHUNK [VERSION] [OPTIONS]\n" in text
    assert "\n./rpt explore [CORPUS] [OPTIONS]\n" in text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.py", '"""One\nthing.\n\nMore of it.\n"""\n', "One thing."),
        ("a.py", "x = 1\n", ""),
        (
            "rpt",
            "#!/bin/sh\n# rpt: makes it.\n# Then runs it.\nset -eu\n# not this\n",
            "makes it. Then runs it.",
        ),
        ("a.yaml", "key: 1 # not this\n", ""),
    ],
)
def test_what_a_file_says_of_itself(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    assert documentation.first_words(tmp_path / name) == said
