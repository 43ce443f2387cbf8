"""Every command in the documentation exists, with its options, stages, systems, parameters and values; those
that only look are run.

A line `*Needs: ....*` above a block says what a plain machine lacks. Such a block is not run, and other tools
may stand in it.
"""

import re
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from cyclopts import CycloptsError, MissingArgumentError
from ruamel.yaml import YAML

from data_contracts.candidates import LABELS
from data_contracts.contract import open_artifact
from data_contracts.failure import Failure
from flows.cli import app
from flows.commands.outcome import KEEP
from flows.overrides import parse_override, set_value
from flows.profiles import names as profiles
from stages.fits.chips import read_target
from stages.parameters import check
from tests.docs.pages import DATED, GENERATED, ROOT, Command, inline_commands, names, shell_commands, split

PAGES = [page for page in names() if page not in DATED]
SHELL = [command for page in PAGES for command in shell_commands(page)]
INLINE = [command for page in PAGES for command in inline_commands(page)]
RPT = [command for command in (*SHELL, *INLINE) if command.words[0] == "./rpt"]
OTHERS = [command for command in SHELL if command.words[0] != "./rpt"]
LOOKING = ("status", "verify", "config", "stats", "show", "diff", "export", "share", "explore")
"""Functions of the command line that can be run on the small workspace; the others train, serve, ask DVC or
need what they made.
"""
TESTED_ELSEWHERE = ("docs/labels.md",)


@cache
def configurations() -> list[dict]:
    """params.yaml and all profiles."""
    return [
        YAML(typ="safe").load(path.read_text())
        for path in (ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml")))
    ]


@cache
def stages() -> set[str]:
    """What a stage may be called: scoring, and scoring@ with a corpus or run of any configuration."""
    graph = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    items = {item for one in configurations() for section in ("corpora", "runs") for item in one[section]}
    return {*graph, *(f"{stage}@{item}" for stage in graph for item in items)}


def known(section: str) -> set[str]:
    """The names of a section in any configuration."""
    return {name for one in configurations() for name in one[section]}


def parsed(words: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The function that the command line would call, and its arguments.

    Raises:
        CycloptsError: for a command or an option that there is not, or a missing argument.
    """
    function, bound, _ = app.parse_args(list(words), exit_on_error=False, print_error=False)
    return function.__name__, bound.arguments


def values_fit(function: str, arguments: dict[str, Any]) -> None:
    """Raises Failure or AssertionError if an argument names what there is not."""
    if "on" in arguments:
        stage, *runs = arguments["stages"]
        assert stage == "training"
        assert set(runs) <= known("runs")
        read_target(arguments["on"])
    elif function in ("run", "plan"):
        assert set(arguments.get("stages", ())) <= stages()
    if function == "compare":
        assert set(arguments["systems"]) <= known("recipes") | {"all"}
        assert set(arguments.get("corpora", ())) <= known("corpora")
    if function == "batch":
        assert arguments["run"] in known("runs")
    if function == "bench":
        assert (ROOT / "benchmarks" / f"{arguments['name']}.py").is_file()
    if function == "test":
        assert all((ROOT / word).exists() for word in arguments.get("arguments", ()) if "/" in word)
    assert arguments.get("profile") in (None, *profiles())
    overrides = dict(map(parse_override, arguments.get("override", ())))
    if function == "new":  # its keys are like those of a corpus that there is
        overrides = {
            key.replace(f".{arguments['name']}.", ".demo."): value for key, value in overrides.items()
        }
    edited(overrides)


def edited(overrides: dict[str, object]) -> None:
    """Raises Failure if params.yaml cannot be edited so."""
    document = deepcopy(configurations()[0])
    for key, value in overrides.items():
        set_value(document, key, value)
    if overrides:
        check(document)


def fits(command: Command) -> None:
    """Raises if the command is none of the command line. Names in capitals, and of what a guide adds, are to
    be filled in.
    """
    function, arguments = parsed(command.words[1:])
    if not command.needs.startswith("the new ") and not any(
        re.fullmatch("[A-Z]+", word) for word in command.words
    ):
        values_fit(function, arguments)


def is_only_named(command: Command) -> bool:
    """Whether a sentence speaks of a command, without the arguments that it must have."""
    path, _, rest = app.parse_commands(list(command.words[1:]))
    return command in INLINE and bool(path) and not rest


def test_every_rpt_command_is_one_of_the_command_line():
    wrong = []
    for command in {(command.words, command.needs): command for command in RPT}.values():
        try:
            fits(command)
        except MissingArgumentError as error:
            wrong += [] if is_only_named(command) else [f"{command}\n    {error}"]
        except (CycloptsError, AssertionError, KeyError, Failure) as error:
            wrong.append(f"{command}\n    {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
    assert {command.page for command in RPT} >= {"README.md", "docs/commands.md", "docs/guides/change-k.md"}


@pytest.mark.parametrize(
    "line",
    [
        "./rpt fly",
        "./rpt run --fast",
        "./rpt run scorin",
        "./rpt run scoring@thesis",
        "./rpt run -o scoring.candidates=0",
        "./rpt run -o scoring.k=12",
        "./rpt run -o corpus.demo.source=a.txt",
        "./rpt run --profile large",
        "./rpt plan demo-rpt_sem",
        "./rpt plan training demo-none --on v5e:1x1",
        "./rpt plan training demo-rpt_sem --on v9:1x1",
        "./rpt compare --systems gpt",
        "./rpt compare --corpora demo",
        "./rpt batch other-run --step 1",
        "./rpt bench nothing",
        "./rpt test tests/none",
        "./rpt labels diff demo",
    ],
)
def test_a_wrong_command_is_found(line):
    ((*words,),) = split(line)
    with pytest.raises((CycloptsError, AssertionError, KeyError, Failure)):
        fits(Command("a page", tuple(words)))


def test_another_tool_is_git_or_its_block_says_what_it_needs():
    keep = split(KEEP)[0]
    unmarked = [command for command in OTHERS if not command.needs]
    assert {command.words[:2] for command in unmarked} == {("git", "add"), ("git", "commit")}
    assert {command.words for command in unmarked if command.words[1] == "add"} == {keep}


def test_the_commands_for_prefect_name_the_flow_and_its_parameters():
    (deployment,) = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text())["deployments"]
    file, flow = deployment["entrypoint"].split(":")
    signature = re.search(rf"^def {flow}\((.*?)\) ->", (ROOT / file).read_text(), re.M | re.S)
    assert signature
    runs = [command.words for command in OTHERS if command.words[:3] == ("prefect", "deployment", "run")]
    assert len(runs) == 2
    for words in runs:
        assert words[3] == f"{flow}/{deployment['name']}"
        for parameter in (
            words[number + 1].split("=")[0] for number, word in enumerate(words) if word == "--param"
        ):
            assert f"{parameter}: " in signature[1]


def looking() -> list[tuple[str, ...]]:
    """The commands that are run, each once."""
    found = {}
    for command in SHELL:
        if (
            command.words[0] == "./rpt"
            and not command.needs
            and command.page not in (*TESTED_ELSEWHERE, *GENERATED)
        ):
            function, arguments = parsed(command.words[1:])
            if function in LOOKING and (function != "explore" or arguments.get("json_")):
                found[command.words[1:]] = None
    return list(found)


def test_the_commands_that_only_look_do_so(workspace, capsys):
    commands = looking()
    assert len(commands) > 10
    labels = workspace / "artifacts" / "demo" / "labels"
    first = open_artifact(LABELS, labels).read_all()
    place = f"{first.column('doc_id')[0].as_py()}:{first.column('query_chunk')[0].as_py()}"
    for words in commands:
        given = [place if word == "DOC:CHUNK" else word for word in words]
        assert app(given, result_action="return_value") == 0, words
        assert capsys.readouterr().out.strip(), words
