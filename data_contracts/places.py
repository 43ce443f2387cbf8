"""Where something is kept: a directory of this machine, or a URL of an object store."""

from __future__ import annotations

import re
from pathlib import Path

Place = Path | str  # a str is always a URL
SCHEMES = ("gs", "s3")  # stores that create an object only if it is not there, and list what they have


def is_url(text: str) -> bool:
    """Whether `text` is meant as a URL and not as a path."""
    return "://" in text


def check_place(text: str) -> str:
    """`text`, if it is a path or the URL of a bucket or of a prefix in it.

    Raises:
        ValueError: for a scheme that is not one of SCHEMES, for no bucket, and for marks such as `@` and `?`,
            in which a URL may carry a secret.
    """
    if not is_url(text) or re.fullmatch(
        rf"({'|'.join(SCHEMES)})://[A-Za-z0-9][\w.-]*(/(?!\.\.?(/|$))[\w.=+-]+)*/?", text
    ):
        return text
    schemes = " or ".join(f"{scheme}://" for scheme in SCHEMES)
    raise ValueError(
        f"a URL is {schemes}, a bucket and folders of letters, digits and . _ - = +; credentials never stand"
        " in it"
    )


def resolved(text: str, base: Path) -> Place:
    """A URL as it is, a path as an absolute one; relative ones count from `base`."""
    return text if is_url(text) else (base / text).resolve()
