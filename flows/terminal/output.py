"""What commands print: plain lines, or one JSON object."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative=(), help="one JSON object on standard output")]


def out(text: str = "") -> None:
    """Print a line and do not keep it back."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
