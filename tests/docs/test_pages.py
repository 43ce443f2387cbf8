"""What every page must keep: links and files that exist, lines that a diff can show, guides that say what was
never run.
"""

import re

import pytest

from tests.docs.pages import GENERATED, NEEDS, ROOT, blocks, names, text_of, without_blocks

PAGES = names()
WRITTEN = [page for page in PAGES if page not in GENERATED]
LENGTH = 110
ROOTS = (
    "flows",
    "stages",
    "model",
    "data_contracts",
    "reports",
    "infra",
    "benchmarks",
    "tests",
    "docs",
    "profiles",
)
GUIDES = (
    "your-corpus",
    "change-k",
    "gpu-scoring",
    "cluster",
    "tpu",
    "read-labels",
    "add-a-system",
    "add-a-stage",
)


def links(page: str) -> list[str]:
    """The places in this checkout that a page links to."""
    found = re.findall(r"\]\(([^)\s]+)\)", without_blocks(page))
    return [target.split("#")[0] for target in found if "://" not in target and not target.startswith("#")]


def files(page: str) -> set[str]:
    """The files and folders of the code that a page names in code style."""
    said = re.findall(r"`([\w.-]+/[\w./-]*)`", without_blocks(page))
    return {name for name in said if name.split("/")[0] in ROOTS}


def test_every_link_leads_to_a_file():
    lost = [
        f"{page}: {target}"
        for page in PAGES
        for target in links(page)
        if not ((ROOT / page).parent / target).exists()
    ]
    assert not lost


def test_every_file_that_is_named_exists_or_is_to_be_written():
    lost = []
    for page in PAGES:
        to_write = set(re.findall(r"Write `([^`]+)`", text_of(page)))
        lost += [f"{page}: {name}" for name in files(page) - to_write if not (ROOT / name).exists()]
    assert not lost


def test_every_section_that_is_linked_to_is_on_its_page():
    for page in PAGES:
        anchors = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
        }
        asked = set(re.findall(r"\]\(#([^)]+)\)", text_of(page)))
        assert asked <= anchors, (page, asked - anchors)


def test_lines_of_prose_fit():
    """Tables may be wider, and so may a name that cannot be cut."""
    wide = [
        f"{page}: {line}"
        for page in WRITTEN
        for line in without_blocks(page).splitlines()
        if len(line) > LENGTH and not line.startswith("|") and len(re.findall(r"(?:`[^`]*`|\S)+", line)) > 1
    ]
    assert not wide


def test_the_readme_is_short_and_leads_to_every_guide():
    text = text_of("README.md")
    assert len(text.splitlines()) <= 130
    there = {path.stem for path in (ROOT / "docs" / "guides").glob("*.md")}
    assert there >= set(GUIDES)
    assert {f"docs/guides/{name}.md" for name in there} <= set(links("README.md"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_title_and_something_below_it(page):
    first, *rest = text_of(page).strip().splitlines()
    assert first.startswith("# ")
    assert any(rest)


def test_every_page_is_linked_from_another():
    linked = {((ROOT / page).parent / target).resolve() for page in PAGES for target in links(page)}
    assert {page for page in PAGES if page != "README.md" and (ROOT / page) not in linked} == set()


@pytest.mark.parametrize("guide", ["gpu-scoring", "tpu", "cluster", "devices", "containers"])
def test_a_guide_for_hardware_begins_with_its_state(guide):
    title, state = text_of(f"docs/guides/{guide}.md").split("\n\n")[:2]
    assert title.startswith("# ")
    assert re.match(r"\*\*State: .*never run on .*\*\*", state.replace("\n", " "))


def test_what_a_block_needs_stands_right_above_it():
    for page in PAGES:
        asked = [line for line in text_of(page).splitlines() if NEEDS.fullmatch(line)]
        assert len(asked) == sum(bool(block.needs) for block in blocks(page)), page


@pytest.mark.parametrize("name", ["data_flow.svg", "processes.svg"])
def test_a_picture_needs_nothing_else_and_has_a_dark_form(name):
    text = text_of(f"docs/{name}")
    assert not re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?(?!#)\w", text)
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text
    assert "<title" in text
    assert "<desc" in text
    light, dark = text.split("<style>")[1].split("</style>")[0].split("@media")
    coloured = [
        set(re.findall(r"(\.\w+|text)(?=[^{}]*\{[^}]*(?:fill|stroke): #)", part)) for part in (light, dark)
    ]
    assert coloured[0] == coloured[1] != set()


def test_the_packaging_says_what_the_licence_file_is():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text()
    assert licence.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in licence
    citation = text_of("CITATION.cff")
    assert f"\nlicense: {project['license']}\n" in citation
    assert f"\nversion: {project['version']}\n" in citation
