"""Writes tensors to a safetensors file: the only place that does, because of what the library does with
views.

safetensors 0.8.0 writes the memory that lies behind a NumPy array, and of a transposed or strided view that
is other numbers than those of the view.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from safetensors.numpy import save_file


def save_tensors(
    tensors: Mapping[str, ArrayLike], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write `path`; its bytes depend on names, numbers, types and `metadata` alone, not on how the arrays lie
    in memory.
    """
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path, metadata=metadata)
