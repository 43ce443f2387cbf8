"""A small BERT with its heads as `transformers` 5.24.0 computes it (PyTorch on a CPU, float32), under the
names of its checkpoints.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import BertConfig, BertForPreTraining

PACKAGE, SEED = "transformers 5.24.0", 0
SIZES = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
LENGTHS = (12, 7, 2)

Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    """`config.NAME`, `tensor.NAME` as in a state dict, word pieces padded with 0, and the states of those
    that are not padding.
    """
    rng = np.random.default_rng(SEED)
    model = BertForPreTraining(BertConfig(**SIZES)).eval()
    drawn = {name: _drawn(name, tuple(value.shape), rng) for name, value in model.state_dict().items()}
    model.load_state_dict({name: torch.tensor(value) for name, value in drawn.items()})
    pieces_XT = rng.integers(1, SIZES["vocab_size"], (len(LENGTHS), max(LENGTHS)))
    there_XT = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    pieces_XT = np.where(there_XT, pieces_XT, 0)
    with torch.no_grad():
        states = model.bert(
            torch.tensor(pieces_XT), attention_mask=torch.tensor(there_XT.astype(np.int64))
        ).last_hidden_state
    config = {f"config.{name}": np.array(value) for name, value in SIZES.items()}
    tensors = {f"tensor.{name}": value for name, value in drawn.items()}
    return {
        **config,
        **tensors,
        "pieces_XT": pieces_XT,
        "states_XTD": np.where(there_XT[..., None], states.numpy(), 0.0),
    }


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of a size that lets every one of them matter; the output matrix is the embedding, as the model ties
    them.
    """
    if name == "cls.predictions.decoder.weight":
        return _drawn("bert.embeddings.word_embeddings.weight", shape, np.random.default_rng(SEED + 1))
    if name == "bert.embeddings.word_embeddings.weight":
        rng = np.random.default_rng(SEED + 1)
    if name == "cls.predictions.decoder.bias":
        return np.zeros(shape, np.float32)
    if "LayerNorm.weight" in name:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = 0.3 if name.endswith("bias") else shape[-1] ** -0.5
    return (scale * rng.normal(size=shape)).astype(np.float32)
