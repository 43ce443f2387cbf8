"""The commands `rpt labels ...`: labels looked at, compared and handed on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from data_contracts.failure import Exit, Failure
from flows.terminal.output import Json, out
from flows.workspace import from_caller

labels = App(
    name="labels",
    help=(
        "Look at labels. A VERSION is a corpus, a directory with labels, or REV:CORPUS: labels as a git"
        " revision had them, such as HEAD~1:demo. Without one it is the only corpus that has labels."
    ),
)
NOT_NEGATIVE = validators.Number(gte=0)
Version = Annotated[str | None, Parameter(help="a corpus, a directory with labels, or REV:CORPUS")]


@labels.command(usage="Usage: rpt labels stats [VERSION] [OPTIONS]")
def stats(
    version: Version = None,
    /,
    *,
    documents: Annotated[
        int, Parameter(validator=NOT_NEGATIVE, help="list this many documents, the largest first")
    ] = 10,
    json_: Json = False,
) -> int:
    """What there is: queries, pairs, how many help, how good the best are, and the largest documents.

    Examples: `./rpt labels stats`; `./rpt labels stats demo --documents 30`;
    `./rpt labels stats HEAD~1:demo --json`
    """
    from flows.labels.versions import open_version
    from flows.terminal.label_text import print_stats
    from reports.labels.summary import summary

    opened = open_version(version)
    result = summary(opened, documents)
    if json_:
        out(json.dumps(asdict(result)))
    else:
        print_stats(result, len(opened.documents))
    return Exit.DONE


@labels.command(usage="Usage: rpt labels show DOC:CHUNK [VERSION] [OPTIONS]")
def show(
    place: Annotated[
        str,
        Parameter(
            name="DOC:CHUNK", help="the beginning of a doc_id, or a source; and the number of a query chunk"
        ),
    ],
    version: Version = None,
    /,
    *,
    by: Annotated[Literal["score", "bm25"], Parameter(help="order of the candidates")] = "score",
    candidates: Annotated[
        int, Parameter(validator=NOT_NEGATIVE, help="show the text of this many candidates")
    ] = 3,
    of: Annotated[
        int | None, Parameter(help="colour by the candidate of this BM25 rank instead of the best one")
    ] = None,
    gains: Annotated[
        bool, Parameter(help="measure what that candidate does to each token of the target")
    ] = True,
    json_: Json = False,
) -> int:
    """One query under the microscope: its target, its candidates, and what the best of them does to each
    token.

    Examples: `./rpt labels show 3f9a:17`; `./rpt labels show 3f9a:17 demo --by bm25 --candidates 20`;
    `./rpt labels show 3f9a:17 --of 0`
    """
    from flows.labels.microscope import find, look
    from flows.labels.microscope import gains as measured
    from flows.labels.microscope_text import print_view
    from flows.labels.versions import open_version

    opened = open_version(version)
    doc_id, query = find(opened, place)
    view = look(opened, doc_id, query, by)
    if gains:
        view["gains"] = measured(opened, view, of)
    if json_:
        out(json.dumps(view))
    else:
        print_view(view, by, candidates)
    return Exit.DONE


@labels.command(usage="Usage: rpt labels diff A B [OPTIONS]")
def diff(
    a: Annotated[str, Parameter(help="the version to compare with")],
    b: Annotated[str, Parameter(help="the version that is compared")],
    /,
    *,
    movers: Annotated[
        int, Parameter(validator=NOT_NEGATIVE, help="list this many pairs and queries that changed most")
    ] = 5,
    json_: Json = False,
) -> int:
    """Compare two versions of the labels of one corpus: which pairs and positives came and went, orders, best
    candidates, top movers.

    Examples: `./rpt labels diff HEAD~1:demo demo`;
    `./rpt labels diff k20/labels k40/labels --movers 20 --json`
    """
    from flows.labels.diff_text import print_diff
    from flows.labels.versions import open_version
    from reports.labels.diff import compare

    opened = open_version(a), open_version(b)
    result = compare(*opened, movers)
    if json_:
        out(json.dumps(asdict(result)))
    else:
        print_diff(result, opened[0])
    return Exit.DONE


@labels.command(usage="Usage: rpt labels export [VERSION] OUT [OPTIONS]")
def export(
    *places: Annotated[
        str,
        Parameter(
            name="[VERSION] OUT",
            help="a version, if not the only corpus; and the file to write, from where you are",
        ),
    ],
    format_: Annotated[
        Literal["csv", "jsonl", "parquet"] | None,
        Parameter(name="--format", help="if the suffix of OUT does not say"),
    ] = None,
    texts: Annotated[
        bool, Parameter(negative=(), help="add the texts of query, target, candidate and continuation")
    ] = False,
    force: Annotated[bool, Parameter(negative=(), help="overwrite OUT")] = False,
) -> int:
    """Write labels as one file that other tools read, a row a pair. In CSV, text that a spreadsheet would run
    has ' before it.

    Examples: `./rpt labels export labels.csv`; `./rpt labels export demo labels.parquet --texts`
    """
    from flows.labels.export import export as write
    from flows.labels.export import format_of
    from flows.labels.versions import open_version

    if len(places) not in (1, 2):
        raise Failure(
            "export",
            f"it takes [VERSION] OUT, not {len(places)} arguments",
            "./rpt labels export --help",
            Exit.USAGE,
        )
    *version, target = places
    path = from_caller(Path(target))
    kind = format_of(path, format_)
    rows = write(open_version(version[0] if version else None), path, kind, texts, force)
    out(f"{target}: {rows:,} pairs")
    return Exit.DONE


@labels.command
def report(
    *corpora: Annotated[str, Parameter(help="corpora of params.yaml; none means all")],
    verbose: Annotated[
        bool, Parameter(name=["--verbose", "-v"], negative=(), help="show the log lines of stages too")
    ] = False,
    json_: Json = False,
) -> int:
    """Bring the supervision report up to date: a page on the labels, their card for the Hugging Face Hub, and
    their figures.

    Examples: `./rpt labels report`; `./rpt labels report demo --json`
    """
    from flows.commands.pages import LABELS, as_json, as_lines, bring_up_to_date

    done = bring_up_to_date(LABELS, list(corpora), verbose)
    out(as_json(LABELS, done) if json_ else "\n".join(as_lines(LABELS, done)))
    return Exit.DONE


@labels.command(usage="Usage: rpt labels browse [VERSION] [VERSION] [OPTIONS]")
def browse(
    *versions: Annotated[str, Parameter(name="VERSION", help="one, or two to see side by side")],
    port: Annotated[int, Parameter(help="of 127.0.0.1; 0 is a free one")] = 0,
    open_: Annotated[
        bool, Parameter(name="--open", negative=(), help="open the page in this machine's browser")
    ] = False,
) -> int:
    """Serve pages about labels on this machine until Ctrl-C: documents, queries, candidates, token gains,
    search, two versions compared.

    Examples: `./rpt labels browse`; `./rpt labels browse demo --port 8080`;
    `./rpt labels browse HEAD~1:demo demo`
    """
    from flows.labels.browser import browse as serve_pages

    if len(versions) > 2:
        raise Failure(
            "browse", f"{len(versions)} versions are named", "name one, or two to compare", Exit.USAGE
        )
    return serve_pages(versions or (None,), port, open_)


@labels.command(usage="Usage: rpt labels share [VERSION] OUT [OPTIONS]")
def share(
    *places: Annotated[
        str,
        Parameter(
            name="[VERSION] OUT",
            help="a version, if not the only corpus; and the file to write, from where you are",
        ),
    ],
    documents: Annotated[int, Parameter(help="this many documents, spread evenly")] = 50,
    force: Annotated[bool, Parameter(negative=(), help="overwrite OUT")] = False,
) -> int:
    """Write one HTML page, under 5 MB, that needs nothing else: documents with the queries that were helped
    most and least.

    Examples: `./rpt labels share labels.html`; `./rpt labels share demo labels.html --documents 20`
    """
    from flows.labels.browser import share as write

    if documents < 1:
        raise Failure(f"--documents {documents}", "there is nothing to share", "give at least 1", Exit.USAGE)
    if len(places) not in (1, 2):
        raise Failure(
            "share",
            f"it takes [VERSION] OUT, not {len(places)} arguments",
            "./rpt labels share --help",
            Exit.USAGE,
        )
    *version, target = places
    shown = write(version[0] if version else None, from_caller(Path(target)), documents, force)
    out(f"{target}: {shown} documents" + (", all that 5 MB or the labels hold" if shown < documents else ""))
    return Exit.DONE


@labels.command(usage="Usage: rpt labels publish [VERSION] FOLDER [OPTIONS]")
def publish(
    *places: Annotated[
        str,
        Parameter(
            name="[VERSION] FOLDER",
            help="a version, if not the only corpus; and the folder to write, from where you are",
        ),
    ],
    texts: Annotated[
        bool, Parameter(negative=(), help="the texts of chunks too, as a second configuration `chunks`")
    ] = False,
    to: Annotated[
        str | None, Parameter(help="USER/NAME of a dataset of the Hub: say what would be sent and deleted")
    ] = None,
    private: Annotated[bool, Parameter(negative=(), help="if the dataset is new, only you see it")] = False,
    yes: Annotated[bool, Parameter(negative=(), help="with --to: send it")] = False,
) -> int:
    """Write labels as a dataset of the Hugging Face Hub: a folder with a card and the splits as splits, which
    `datasets.load_dataset` reads.

    With --to nothing is sent until you add --yes; then one commit makes the dataset hold the folder and no
    file beside it.

    Examples: `./rpt labels publish published/demo`; `./rpt labels publish demo published/demo --texts`;
    `./rpt labels publish published/demo --to USER/NAME --yes`
    """
    from flows.labels import hub_upload
    from flows.labels.publish import check_licences, write_folder
    from flows.labels.versions import open_version

    if len(places) not in (1, 2):
        raise Failure(
            "publish",
            f"it takes [VERSION] FOLDER, not {len(places)} arguments",
            "./rpt labels publish --help",
            Exit.USAGE,
        )
    if to is None and (private or yes):
        raise Failure("publish", "--private and --yes are for --to", "add --to USER/NAME", Exit.USAGE)
    *version, target = places
    folder = from_caller(Path(target))
    report = write_folder(open_version(version[0] if version else None), folder, texts)
    out(f"{target}: {', '.join(f'{split} {found.pairs:,} pairs' for split, found in report.splits.items())}")
    if to is None:
        return Exit.DONE
    if texts:
        check_licences(report)
    upload = hub_upload.plan(folder, to)
    out("\n".join(hub_upload.as_lines(upload, to)))
    out(hub_upload.send(folder, to, upload, private) if yes else "nothing was sent; --yes does it")
    return Exit.DONE
