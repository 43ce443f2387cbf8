"""`rpt explore` serves the pages of reports/explorer on loopback until Ctrl-C, or says in figures what there
is.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from starlette.types import ASGIApp
from tokenizers import Tokenizer

from data_contracts import counting
from data_contracts.evaluations import SETTINGS
from data_contracts.failure import Exit, Failure
from flows.commands.page_server import Progress, serve
from flows.workspace import ROOT, STATE, from_caller
from reports.explorer.library import Library, Pieces
from reports.explorer.server import explorer
from reports.explorer.site import site
from reports.site.application import closed
from reports.site.current import Current, Seals, seals
from stages.tokens.token_texts import token_texts

INDEX = STATE / "evaluation_index"


def explore(corpus: str | None, port: int, open_page: bool, index: Path = INDEX) -> int:
    """Serve what was evaluated in a corpus until SIGINT or SIGTERM; indices are kept in `index`.

    When an evaluation changes meanwhile, as in a run, the next page is of the new one.

    Raises:
        Failure: (exit code 5) if the port is taken; what `locate` and `Library` raise.
    """
    directory = locate(corpus)

    def seen() -> Seals:
        parts = (directory / name for name in ("chunks", "candidates", "labels", "documents"))
        return seals([*parts, *sorted(directory.glob("evaluations/*")), *sorted(directory.glob("oracle/*"))])

    def application(own_port: int) -> ASGIApp:
        return Current(
            lambda: explorer(_library(directory, index), own_port),
            partial(closed, site(directory.name), own_port),
            seen,
        )

    return serve(application, port, open_page)


def systems(corpus: str | None, index: Path = INDEX) -> dict:
    """Every run of a corpus in every setting: perplexity, documents, tokens. Raises what `locate` and
    `Library` raise.
    """
    library = _opened(corpus, index)
    return {
        "corpus": library.name,
        "runs": [
            {
                "run": run.name,
                "system": run.system,
                "settings": {
                    setting: {
                        "perplexity": run.perplexity(setting),
                        "documents": len(rows),
                        "tokens": rows.select(counting.total("tokens")).item(),
                    }
                    for setting in SETTINGS
                    if len(rows := run.of(setting))
                },
            }
            for run in library.runs.values()
        ],
    }


def locate(corpus: str | None) -> Path:
    """The directory with the artifacts of a corpus, named or given as a directory; None is the only corpus
    that is evaluated.

    Raises:
        Failure: (exit code 2) if it has no evaluation, or there are several to choose from.
    """
    artifacts = ROOT / "artifacts"
    known = sorted({path.parents[2].name for path in artifacts.glob("*/evaluations/*/manifest.json")})
    if corpus is None and len(known) == 1:
        return artifacts / known[0]
    if corpus is None and known:
        raise Failure(
            "which corpus?", f"several are evaluated: {', '.join(known)}", "name one of them", Exit.USAGE
        )
    if corpus in known:
        return artifacts / str(corpus)
    if corpus and any(from_caller(Path(corpus)).glob("evaluations/*/manifest.json")):
        return from_caller(Path(corpus)).absolute()
    what = f"corpus {corpus!r} has no evaluation" if corpus else "there is no evaluation to explore"
    remedy = (
        "`./rpt run evaluation` makes it, `dvc pull` fetches it; `./rpt status` lists what there is, and"
        " `./rpt explore --pretrained` needs none"
    )
    raise Failure(what, f"evaluated here: {', '.join(known) or 'nothing'}", remedy, Exit.USAGE)


def _opened(corpus: str | None, index: Path) -> Library:
    return _library(locate(corpus), index)


def _library(directory: Path, index: Path) -> Library:
    return Library(directory, index, _pieces(directory / "tokenizer" / "tokenizer.json"), Progress)


def _pieces(path: Path) -> Pieces | None:
    """The text of each token of a chunk, if the corpus has a tokenizer.

    Raises:
        Failure: (exit code 3) if that cannot be read.
    """
    if not path.exists():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise Failure(f"the tokenizer {path}", str(error), "re-run tokenizer", Exit.CONTRACT) from error

    def pieces(token_ids: np.ndarray) -> list[str]:
        return token_texts(tokenizer, token_ids.tolist())

    return pieces
