"""Weights that come with the project: a folder for each corpus they were trained on, with a card, README.md.

A folder is laid out as `artifacts/CORPUS/` is, with models in float16 and the artifacts of a few held-out
documents; `./rpt weights` writes it.
"""

from __future__ import annotations

from pathlib import Path

CODE = Path(__file__).parent / "code"
"""Transformer-XL and RPT-Sem of `profiles/small-code.yaml`, seed 0, trained on the library of Python 3.11."""
