"""`rpt labels browse` serves the pages of reports/browser on loopback until Ctrl-C; `rpt labels share` writes
one of them as a file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from starlette.types import ASGIApp
from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import write_atomically
from flows.commands.page_server import Progress, serve
from flows.labels.versions import INDEX, PARTS, locate
from flows.makers import maker_of
from flows.workspace import child_environment
from reports.browser import share_page
from reports.browser.library import LabelLibrary, ReferenceLM
from reports.browser.maker import panel
from reports.browser.movers_page import Compared, compared
from reports.browser.server import browser
from reports.browser.vocabulary import label_site
from reports.html.markup import Html
from reports.labels.label_set import LabelSet, open_label_set
from reports.labels.report import LabelReport
from reports.metrics.figures_file import read_figures
from reports.site.application import closed
from reports.site.current import Current, seals
from stages.tokens.token_texts import token_texts

if TYPE_CHECKING:
    from stages.scoring.text_gains import TextGains
    from stages.scoring.token_gains import TokenGains

MOVERS = 50


class LazyReferenceLM:
    """A reference LM for the browser that has the corpus's tokens; JAX and the weights are loaded when a gain
    is first asked for.
    """

    reads_text = False

    def __init__(self, directory: Path):
        self._directory = directory

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        path = self._directory / "tokenizer.json"
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise Failure(
                f"the tokenizer {path}", str(error), "re-run reference_lm, or take it away", Exit.CONTRACT
            ) from error

    @cached_property
    def _token_gains(self) -> TokenGains:
        os.environ.update(child_environment())
        from stages.scoring.token_gains import TokenGains

        return TokenGains(self._directory)

    def pieces(self, chunks: Sequence[np.ndarray], chunk: int) -> list[str]:
        """The text of one of a document's chunks, a piece a token.

        Raises:
            Failure: (exit code 3) if the tokenizer cannot be read.
        """
        return token_texts(self._tokenizer, chunks[chunk].tolist())

    def gains(self, chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> np.ndarray:
        """See `TokenGains.gains`."""
        return self._token_gains.gains(chunks, query, candidates)


class LazyTextLM:
    """A reference LM for the browser that reads the corpus as text, as lazy as `LazyReferenceLM`."""

    reads_text = True

    def __init__(self, directory: Path, tokenizer: Path):
        self._directory, self._tokenizer = directory, tokenizer

    @cached_property
    def _text_gains(self) -> TextGains:
        os.environ.update(child_environment())
        from stages.scoring.text_gains import TextGains

        return TextGains(self._directory, self._tokenizer)

    def pieces(self, chunks: Sequence[np.ndarray], chunk: int) -> list[str]:
        """See `TextGains.pieces`."""
        return self._text_gains.pieces(chunks, chunk)

    def gains(self, chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> np.ndarray:
        """See `TextGains.gains`."""
        return self._text_gains.gains(chunks, query, candidates)


def browse(versions: Sequence[str | None], port: int, open_page: bool, index: Path = INDEX) -> int:
    """Serve one version of labels, or two to compare, until SIGINT or SIGTERM. Their indices are kept in
    `index`.

    When the labels change meanwhile, as in a run, the next page is of the new ones.

    Raises:
        Failure: (exit code 5) if the port is taken; what `locate` and `open_label_set` raise.
    """
    directories = [locate(version) for version in versions]
    names = [
        version or directory.parent.name for version, directory in zip(versions, directories, strict=True)
    ]
    seen = [directory.with_name(part) for directory in directories for part in PARTS]

    def opened(own_port: int) -> ASGIApp:
        sets = [
            open_label_set(directory, index, Progress(name))
            for directory, name in zip(directories, names, strict=True)
        ]
        return browser(
            LabelLibrary(
                sets, names, [_reference_lm(labels) for labels in sets], partial(_made, sets, names)
            ),
            own_port,
            _comparison(sets),
        )

    def application(own_port: int) -> ASGIApp:
        return Current(
            partial(opened, own_port), partial(closed, label_site(names), own_port), partial(seals, seen)
        )

    return serve(application, port, open_page)


def share(version: str | None, path: Path, documents: int, force: bool) -> int:
    """Write one page with some documents to `path`; returns how many there was room for.

    Raises:
        Failure: (exit code 2) if the file exists and `force` is not set; (5) if it cannot be written; what
            `locate` and `open_label_set` raise.
    """
    if path.exists() and not force:
        raise Failure(
            f"{str(path)!r} exists",
            "it would be overwritten",
            "add --force, or choose another name",
            Exit.USAGE,
        )
    directory = locate(version)
    name = version or directory.parent.name
    page, shown = share_page.render(
        LabelLibrary([open_label_set(directory, INDEX, Progress(name))], [name], [None]), documents
    )
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise Failure(
            f"{str(path)!r} cannot be written", str(error), "choose another place", Exit.ENVIRONMENT
        ) from error
    return shown


def _reference_lm(labels: LabelSet) -> ReferenceLM | None:
    """The one beside the labels; none if it, or for one that reads text the tokenizer of the corpus, is not
    there.
    """
    directory, tokenizer = labels.directory.with_name("reference_lm"), labels.directory.with_name("tokenizer")
    if not (directory / "tokenizer.json").exists():
        return None
    if "chunk_tokenizer" not in labels.scorer:
        return LazyReferenceLM(directory)
    return LazyTextLM(directory, tokenizer) if (tokenizer / "tokenizer.json").exists() else None


def _made(sets: Sequence[LabelSet], names: Sequence[str]) -> Html:
    return panel(names, [maker_of(labels.digest) for labels in sets], [_tokens(labels) for labels in sets])


def _tokens(labels: LabelSet) -> float | None:
    """What a scorer reads for all pairs, by the report beside the labels if it is of these."""
    path = labels.directory.with_name("label_report") / "statistics.json"
    try:
        report = read_figures(LabelReport, path, "./rpt run label_report")
    except (OSError, Failure):
        return None
    return report.cost.tokens if report.labels == labels.digest else None


def _comparison(sets: Sequence[LabelSet]) -> Future[Compared] | None:
    if len(sets) == 1:
        return None
    return ThreadPoolExecutor(1).submit(compared, sets[0], sets[1], MOVERS)
