"""The hyperparameters of a decoder of the Llama family, read from and written to a Hugging Face
`config.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from model.config_values import architectures, number, switch, whole
from model.rope import Rope


class Family(NamedTuple):
    """What an architecture fixes, and what its `config.json` may say or leave out.

    Attributes:
        model_type: its name in `config.json`.
        options: the biases that it can have.
        required: sizes that must be stated, because the published default is that of a large model.
        query_key_value_bias, qk_norm: whether every model of it has them.
        sliding_window: tokens, if `config.json` says nothing of it.
        window_switch: whether a sliding window only counts where `use_sliding_window` or `layer_types` asks
            for it.
    """

    model_type: str
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    query_key_value_bias: bool = False
    qk_norm: bool = False
    sliding_window: int | None = None
    window_switch: bool = False


FAMILIES = {
    "LlamaForCausalLM": Family("llama", ("attention_bias", "mlp_bias")),
    "MistralForCausalLM": Family("mistral", required=("num_key_value_heads",), sliding_window=4096),
    "Qwen2ForCausalLM": Family(
        "qwen2", required=("num_key_value_heads",), query_key_value_bias=True, window_switch=True
    ),
    "Qwen3ForCausalLM": Family(
        "qwen3", ("attention_bias",), ("num_key_value_heads", "head_dim"), qk_norm=True, window_switch=True
    ),
}
REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "rms_norm_eps",
)
BIASES = ("attention_bias", "mlp_bias")
LAYER_TYPES = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class LlamaConfig:
    """Llama (Touvron et al. 2023, arXiv 2302.13971) and its kin; names as in `config.json`.

    Attributes:
        num_key_value_heads: heads of keys and values, each read by the same number of query heads (Ainslie et
            al. 2023, arXiv 2305.13245).
        head_dim: width of one head; all together may be wider or narrower than `hidden_size`.
        query_key_value_bias: Qwen2's, and part of `attention_bias`.
        output_bias: the other part of `attention_bias`.
        qk_norm: Qwen3's: queries and keys are normed head by head before they are rotated.
        sliding_window: how many tokens attention sees; None for all. Longer prompts are refused (see
            `check_length`).

    Raises:
        ValueError: if the heads do not divide as attention and rotary positions need.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope: Rope = field(default_factory=Rope)
    tie_word_embeddings: bool = False
    query_key_value_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    sliding_window: int | None = None

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of num_key_value_heads"
                f" {self.num_key_value_heads}; take the config.json that came with the weights"
            )
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim {self.head_dim} is odd, but rotary positions turn pairs; take the config.json of"
                " the weights"
            )

    @property
    def longest_prompt(self) -> int:
        """Tokens that it reads at once, and of which attention sees all."""
        return min(self.max_position_embeddings, self.sliding_window or self.max_position_embeddings)

    @property
    def attention_width(self) -> int:
        """Width of the queries of all heads."""
        return self.num_attention_heads * self.head_dim

    @property
    def layer_matrices(self) -> int:
        """Parameters of one layer's matrices: queries, keys, values, output; gate, up and down of the
        feed-forward network.
        """
        heads = 2 * self.attention_width + 2 * self.num_key_value_heads * self.head_dim
        return self.hidden_size * (heads + 3 * self.intermediate_size)

    @property
    def parameters(self) -> int:
        """All parameters; a tied head counts once."""
        width, keys = self.hidden_size, self.num_key_value_heads * self.head_dim
        layer = self.layer_matrices + 2 * width + (2 * self.head_dim if self.qk_norm else 0)
        layer += (self.attention_width + 2 * keys if self.query_key_value_bias else 0) + (
            width if self.output_bias else 0
        )
        layer += 2 * self.intermediate_size + width if self.mlp_bias else 0
        return (
            (2 - self.tie_word_embeddings) * self.vocab_size * width + self.num_hidden_layers * layer + width
        )

    def check_length(self, tokens: int) -> None:
        """Refuses prompts of which attention would not see all.

        Raises:
            ValueError: if they are longer than the sliding window.
        """
        if self.sliding_window is not None and tokens > self.sliding_window:
            raise ValueError(
                f"a prompt has {tokens} tokens, and config.json sets sliding_window = {self.sliding_window},"
                " which is not computed here; use smaller chunks or a model without it"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LlamaConfig:
        """Reads a parsed `config.json`.

        Raises:
            ValueError: if the file asks for code of its own (`auto_map`), another architecture, or a setting
                not computed here.
        """
        family = _family(values)
        _refuse_unsupported(values, family)
        if missing := [name for name in (*REQUIRED, *family.required) if values.get(name) is None]:
            raise ValueError(
                f"config.json lacks {', '.join(missing)}; take the one that came with the weights"
            )
        sizes: dict[str, Any] = {
            name: (number if name == "rms_norm_eps" else whole)(name, values[name]) for name in REQUIRED
        }
        heads, attention_bias = (
            sizes["num_attention_heads"],
            switch("attention_bias", values.get("attention_bias")),
        )
        return cls(
            **sizes,
            num_key_value_heads=_optional("num_key_value_heads", values, heads),
            head_dim=_optional("head_dim", values, sizes["hidden_size"] // heads),
            rope=Rope.from_values(values),
            tie_word_embeddings=switch("tie_word_embeddings", values.get("tie_word_embeddings")),
            query_key_value_bias=attention_bias or family.query_key_value_bias,
            output_bias=attention_bias,
            mlp_bias=switch("mlp_bias", values.get("mlp_bias")),
            qk_norm=family.qk_norm,
            sliding_window=_sliding_window(values, family),
        )


def _optional(name: str, values: Mapping[str, Any], default: int) -> int:
    """A size that `config.json` may leave out or set to null."""
    return default if values.get(name) is None else whole(name, values[name])


def _family(values: Mapping[str, Any]) -> Family:
    named = architectures(values, "")
    family = FAMILIES.get(named[0]) if len(named) == 1 else None
    if family is None or values.get("model_type", family.model_type) != family.model_type:
        raise ValueError(
            f"config.json names {named}, model_type {values.get('model_type')!r}; the reference LM must be"
            f" one of {', '.join(FAMILIES)}"
        )
    return family


def _refuse_unsupported(values: Mapping[str, Any], family: Family) -> None:
    for name, why in (
        ("auto_map", "runs code from the model"),
        ("quantization_config", "is a form of weights that is not read here"),
    ):
        if values.get(name) is not None:
            raise ValueError(f"config.json has {name}, which {why}; use a plain model in float weights")
    allowed = {"hidden_act": ("silu",), "partial_rotary_factor": (1.0,)}
    allowed |= {
        name: (False,) for name in BIASES if name not in family.options and not family.query_key_value_bias
    }
    for name, choices in allowed.items():
        if values.get(name, choices[0]) not in choices:
            raise ValueError(
                f"config.json sets {name} = {values[name]!r}, only {choices[0]!r} is computed; choose a model"
                " trained with that"
            )


def _sliding_window(values: Mapping[str, Any], family: Family) -> int | None:
    kinds, window = values.get("layer_types"), values.get("sliding_window", family.sliding_window)
    if kinds is not None and not (
        isinstance(kinds, list) and all(kind in LAYER_TYPES for kind in map(str, kinds))
    ):
        raise ValueError(
            f"config.json has layer_types {str(kinds)[:80]}, computed are those of full attention; choose"
            " another model"
        )
    window = None if window is None else whole("sliding_window", window)
    if not family.window_switch:
        return window
    if kinds is not None:
        slides = "sliding_attention" in kinds
    else:
        asked = switch("use_sliding_window", values.get("use_sliding_window"))
        slides = (
            asked
            and whole("max_window_layers", values.get("max_window_layers", 0), least=0)
            < values["num_hidden_layers"]
        )
    return window if slides else None
