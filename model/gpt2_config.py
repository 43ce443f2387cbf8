"""The hyperparameters of a GPT-2 language model, read from a Hugging Face `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.config_values import architectures, number, whole

ARCHITECTURE = "GPT2LMHeadModel"
SIZES = {
    "vocab_size": "vocab_size",
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
}
COMPUTED = {
    "auto_map": None,
    "quantization_config": None,
    "activation_function": "gelu_new",
    "tie_word_embeddings": True,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
}


@dataclass(frozen=True)
class GPT2Config:
    """GPT-2 (Radford et al. 2019, "Language models are unsupervised multitask learners").

    Attributes:
        max_position_embeddings: `n_positions` of `config.json`. A vector is learnt for each position, so a
            longer prompt has no meaning and is refused (see `check_length`).

    Raises:
        ValueError: if the width is no multiple of the heads.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"n_embd {self.hidden_size} is not a multiple of n_head {self.num_attention_heads}; take the"
                " config.json that came with the weights"
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def longest_prompt(self) -> int:
        """Tokens that it reads at once."""
        return self.max_position_embeddings

    @property
    def attention_width(self) -> int:
        """Width of the queries of all heads."""
        return self.hidden_size

    @property
    def layer_matrices(self) -> int:
        """Parameters of one layer's matrices: queries, keys, values, output; feed-forward."""
        return 4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size

    @property
    def parameters(self) -> int:
        """All parameters: embeddings of tokens and positions, matrices and biases of the layers, scale and
        bias of the norms; the head is the embedding.
        """
        width = self.hidden_size
        layer = self.layer_matrices + 4 * width + self.intermediate_size + width + 4 * width
        return (
            (self.vocab_size + self.max_position_embeddings) * width
            + self.num_hidden_layers * layer
            + 2 * width
        )

    def check_length(self, tokens: int) -> None:
        """Refuses prompts that go on behind the last learnt position.

        Raises:
            ValueError: if they are longer than `n_positions`.
        """
        if tokens > self.max_position_embeddings:
            raise ValueError(
                f"a prompt has {tokens} tokens, and config.json sets n_positions ="
                f" {self.max_position_embeddings}: GPT-2 has learnt no position behind that; use smaller"
                " chunks or another model"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPT2Config:
        """Reads a parsed `config.json`.

        Raises:
            ValueError: if the file asks for code of its own (`auto_map`), another architecture, or a setting
                not computed here.
        """
        _refuse_unsupported(values)
        if missing := [name for name in SIZES if name not in values]:
            raise ValueError(
                f"config.json lacks {', '.join(missing)}; take the one that came with the weights"
            )
        sizes = {ours: whole(name, values[name]) for name, ours in SIZES.items()}
        inner = values.get("n_inner")
        return cls(
            **sizes,
            intermediate_size=4 * sizes["hidden_size"] if inner is None else whole("n_inner", inner),
            layer_norm_eps=number("layer_norm_epsilon", values.get("layer_norm_epsilon", cls.layer_norm_eps)),
        )


def _refuse_unsupported(values: Mapping[str, Any]) -> None:
    named = architectures(values, "")
    if named != [ARCHITECTURE] or values.get("model_type", "gpt2") != "gpt2":
        raise ValueError(
            f"config.json names {named}, model_type {values.get('model_type')!r}; the reference LM must be a"
            f" {ARCHITECTURE}"
        )
    for name, value in COMPUTED.items():
        if values.get(name, value) != value:
            raise ValueError(
                f"config.json sets {name} = {str(values[name])[:80]!r}, only {value!r} is computed; choose a"
                " model trained with that"
            )
