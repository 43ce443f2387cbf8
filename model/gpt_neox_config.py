"""The hyperparameters of a GPT-NeoX language model, read from and written to a Hugging Face `config.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from model.config_values import architectures, number, switch, whole
from model.rope import rope_settings

ARCHITECTURE = "GPTNeoXForCausalLM"
FIXED = {"hidden_act": "gelu", "tie_word_embeddings": False, "attention_bias": True, "rope_scaling": None}
REQUIRED = {
    name: whole
    for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
}
OPTIONAL: dict[str, Callable[[str, Any], Any]] = {
    "max_position_embeddings": whole,
    "layer_norm_eps": number,
    "use_parallel_residual": switch,
    "initializer_range": number,
}
ROPE = ("rope_type", "rope_theta", "partial_rotary_factor")

OF_OTHERS = {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}
"""What other architectures call a setting -> what this one does."""


@dataclass(frozen=True)
class GPTNeoXConfig:
    """GPT-NeoX (Black et al. 2022, arXiv 2204.06745) with rotary positions (Su et al. 2021, arXiv
    2104.09864); names as in `config.json`.

    Raises:
        ValueError: if the widths do not divide as attention and rotary positions need.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 2048
    rotary_pct: float = 0.25
    rotary_emb_base: float = 10000.0
    layer_norm_eps: float = 1e-5
    use_parallel_residual: bool = True
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads"
                f" {self.num_attention_heads}; choose one that is"
            )
        if not 0 < self.rotary_pct <= 1:
            raise ValueError(
                f"rotary_pct is {self.rotary_pct}, must be above 0 and at most 1; take the config.json that"
                " came with the weights"
            )
        if self.rotary_size % 2 or not self.rotary_size:
            raise ValueError(
                f"rotary_pct {self.rotary_pct} of head size {self.head_size} gives {self.rotary_size} rotary"
                f" dimensions, which must be even and in 2..{self.head_size}; change rotary_pct or the head"
                " size"
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def rotary_size(self) -> int:
        """How many leading dimensions of a head are rotated."""
        return int(self.head_size * self.rotary_pct)

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
        """All parameters: embedding and head, matrices and biases of the layers, scale and bias of
        the norms.
        """
        width = self.hidden_size
        layer = self.layer_matrices + 4 * width + self.intermediate_size + width + 4 * width
        return 2 * self.vocab_size * width + self.num_hidden_layers * layer + 2 * width

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPTNeoXConfig:
        """Reads a parsed `config.json`, with rotary settings in the old (`rotary_pct`) or the new
        (`rope_parameters`) form.

        Raises:
            ValueError: if the file asks for code of its own (`auto_map`), another architecture, or a setting
                not computed here.
        """
        _refuse_unsupported(values)
        rope = rope_settings(values, "rope_parameters")
        rotary: dict[str, Any] = {
            "rotary_pct": number(
                "rotary_pct", rope.get("partial_rotary_factor", values.get("rotary_pct", cls.rotary_pct))
            ),
            "rotary_emb_base": number(
                "rotary_emb_base",
                rope.get(
                    "rope_theta",
                    values.get("rotary_emb_base", values.get("rope_theta", cls.rotary_emb_base)),
                ),
            ),
        }
        for name, ours in OF_OTHERS.items():
            if name in values and number(name, values[name]) != rotary[ours]:
                raise ValueError(
                    f"config.json sets {name} = {values[name]!r} and {ours} is {rotary[ours]!r}; take the one"
                    " that came with the weights"
                )
        missing = [name for name in REQUIRED if name not in values]
        if missing:
            raise ValueError(
                f"config.json lacks {', '.join(missing)}; take the one that came with the weights"
            )
        stated = {
            name: check(name, values[name])
            for name, check in {**REQUIRED, **OPTIONAL}.items()
            if name in values
        }
        return cls(**stated, **rotary)

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` of this model; rotary settings in both forms, so that older and newer readers
        agree.
        """
        rope = {
            "rope_type": "default",
            "rope_theta": self.rotary_emb_base,
            "partial_rotary_factor": self.rotary_pct,
        }
        fixed = {name: value for name, value in FIXED.items() if value is not None}
        return {
            "architectures": [ARCHITECTURE],
            "model_type": "gpt_neox",
            **asdict(self),
            **fixed,
            "rope_parameters": rope,
        }


def _refuse_unsupported(values: Mapping[str, Any]) -> None:
    named = architectures(values, ARCHITECTURE)
    if "auto_map" in values:
        raise ValueError(
            f"config.json has auto_map {values['auto_map']!r}, which runs code from the model; use a plain"
            f" {ARCHITECTURE}"
        )
    if ARCHITECTURE not in named or values.get("model_type", "gpt_neox") != "gpt_neox":
        raise ValueError(
            f"config.json names {named}, model_type {values.get('model_type')!r}; the reference LM must be a"
            f" {ARCHITECTURE}"
        )
    rope = rope_settings(values, "rope_parameters")
    found = {
        **FIXED,
        **{name: values[name] for name in FIXED if name in values},
        "rope_type": rope.get("rope_type", "default"),
    }
    for name, value in {**FIXED, "rope_type": "default"}.items():
        if found[name] != value:
            raise ValueError(
                f"config.json sets {name} = {found[name]!r}, only {value!r} is supported; choose a model"
                " trained with that"
            )
    if unknown := sorted(rope.keys() - set(ROPE)):
        raise ValueError(
            f"config.json has rope settings {unknown}, which are not supported; choose a model trained"
            " without them"
        )


# The paper's reference LM: config.json of EleutherAI/pythia-1.4b-deduped (Biderman et al. 2023, arXiv
# 2304.01373, table 1).
PYTHIA_1_4B = GPTNeoXConfig(50304, 2048, 24, 16, 8192)
