"""When two texts are the same document: up to their line ends (LF, CRLF, CR) and the white space at their
edges.
"""

from __future__ import annotations

import hashlib

DIGITS = 16
_EDGES = "\ufeff" + "".join(filter(str.isspace, map(chr, range(0x3001))))


class TextKey:
    """A digest of text that is given in consecutive pieces."""

    def __init__(self, text: str = "") -> None:
        self._hash, self._begun, self._space = hashlib.sha256(), False, ""
        self.add(text)

    def add(self, text: str) -> None:
        """The next piece; white space at its end waits for what comes after it."""
        text = self._space + text if self._begun else text.lstrip(_EDGES)
        body = text.rstrip(_EDGES)
        self._begun, self._space = self._begun or bool(body), text[len(body) :]
        self._hash.update(body.replace("\r\n", "\n").replace("\r", "\n").encode())

    def digest(self) -> str:
        """16 hex digits."""
        return self._hash.hexdigest()[:DIGITS]
