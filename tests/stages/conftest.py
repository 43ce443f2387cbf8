"""What is compiled here runs a few times."""

from tests import quick_compilation  # noqa: F401
