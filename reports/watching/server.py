"""The application that answers with the page of the run as it is now."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp

from reports.site.application import application
from reports.watching import page


def watching(look: Callable[[], page.Watched], port: int) -> ASGIApp:
    """What is served on `port`; every request looks."""
    pages = {"/": lambda request: page.render(look()), "/help": lambda request: page.help_page()}
    return application(page.SITE, pages, port)
