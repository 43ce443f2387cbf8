"""Chunked cross-attention as `RETRO-pytorch` 0.3.9 computes it (PyTorch on a CPU, float32), with one defect
undone from outside.

The package pads the rotary angles of the queries as it pads the queries, so that their positions become 2 M -
2, 0, 0, ... where M - 1 to 2 M - 2 are meant. Here its padding leaves the angles, which alone have four axes,
as they are; no line of the package is changed.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import numpy as np
import torch

for unused in ("faiss", "autofaiss"):  # its index, which cross-attention does not need, imports them
    sys.modules.setdefault(unused, ModuleType(unused))
sys.modules["autofaiss"].__dict__.setdefault("build_index", None)

from retro_pytorch import retro_pytorch as package  # noqa: E402

PACKAGE, SEED = "RETRO-pytorch 0.3.9", 0
ROWS, CHUNKS, CHUNK, NEIGHBOURS = 2, 4, 8, 2
WIDTH, HEADS = 32, 2

Arrays = dict[str, np.ndarray]


def arrays(as_shipped: bool = False) -> Arrays:
    """Weights [inputs, outputs] and null pair, input, neighbours, which of them there are, and the output.

    Features are in the package's order, whose rotary pairs are the two halves of a head. `as_shipped` leaves
    the defect in.
    """
    rng = np.random.default_rng(SEED)
    drawn = {
        name: rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH) for name in ("query", "key", "value", "output")
    }
    drawn |= {name: rng.normal(size=WIDTH) for name in ("null_key", "null_value")}
    drawn |= {"x_BLD": rng.normal(size=(ROWS, CHUNKS * CHUNK, WIDTH))}
    drawn |= {"neighbours_BCNRD": rng.normal(size=(ROWS, CHUNKS, NEIGHBOURS, 2 * CHUNK, WIDTH))}
    made = {name: value.astype(np.float32) for name, value in drawn.items()}
    valid_BCN = rng.random((ROWS, CHUNKS, NEIGHBOURS)) < 0.8
    valid_BCN[0, 1] = False
    padding = torch.nn.functional.pad if as_shipped else _pad_all_but_angles
    with patch.object(package, "F", SimpleNamespace(pad=padding)), torch.no_grad():
        out = _module(made)(
            torch.tensor(made["x_BLD"]),
            context=torch.tensor(made["neighbours_BCNRD"]),
            context_mask=torch.tensor(np.repeat(valid_BCN[..., None], 2 * CHUNK, axis=-1)),
            pos_emb=_angles(),
        )
    return {**made, "valid_BCN": valid_BCN, "out_BLD": out.numpy()}


def _module(made: Arrays) -> torch.nn.Module:
    module = package.ChunkedCrossAttention(chunk_size=CHUNK, dim=WIDTH, dim_head=WIDTH // HEADS, heads=HEADS)
    attention = module.cross_attn
    names = {
        "query": attention.to_q,
        "key": attention.to_k,
        "value": attention.to_v,
        "output": attention.to_out,
    }
    for name, linear in names.items():
        linear.weight.data = torch.tensor(made[name].T.copy())
    attention.to_out.bias.data.zero_()  # ours has none
    attention.null_k.data, attention.null_v.data = (
        torch.tensor(made["null_key"]),
        torch.tensor(made["null_value"]),
    )
    return module.eval()


def _angles() -> tuple[torch.Tensor, torch.Tensor]:
    """Of queries and keys, as the package's decoder asks for them, over the whole of a head."""
    rotary = package.RotaryEmbedding(WIDTH // HEADS)
    return rotary(CHUNK, device="cpu", offset=CHUNK - 1), rotary(2 * CHUNK, device="cpu")


def _pad_all_but_angles(x: torch.Tensor, widths: tuple[int, ...], value: float = 0.0) -> torch.Tensor:
    return x if x.ndim == 4 else torch.nn.functional.pad(x, widths, value=value)
