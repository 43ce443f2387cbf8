"""The hyperparameters of a BERT, read from and written to a Hugging Face `config.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from model.config_values import architectures, whole

FIXED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


@dataclass(frozen=True)
class BertConfig:
    """BERT (Devlin et al., arXiv 1810.04805); names as in `config.json`, values left out there are those of
    BERT-base.

    Raises:
        ValueError: if a value is not a number or out of range, or the heads do not divide the width.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in MAY_BE_ZERO else 1
            if field.type == "int":
                whole(field.name, value, least)
            if field.type == "float" and (
                not isinstance(value, float | int) or isinstance(value, bool) or not 0 <= value < 1
            ):
                raise ValueError(
                    f"{field.name} is {value!r}, must be a number in [0, 1); take the config.json that came"
                    " with the weights"
                )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads"
                f" {self.num_attention_heads}; choose one that is"
            )

    @classmethod
    def from_dict(cls, values: Any) -> BertConfig:
        """Reads a parsed `config.json`.

        Raises:
            ValueError: if it is no mapping, asks for code of its own (`auto_map`), another architecture, or a
                setting that is not computed here.
        """
        architectures(values, "BertModel")
        if "auto_map" in values:
            raise ValueError(
                f"config.json has auto_map {values['auto_map']!r}, which runs code from the model; use a"
                " plain BERT"
            )
        for name, value in FIXED.items():
            if values.get(name, value) != value:
                raise ValueError(
                    f"config.json sets {name} = {values[name]!r}, only {value!r} is computed; choose one like"
                    " BERT-base"
                )
        if missing := [name for name in REQUIRED if name not in values]:
            raise ValueError(
                f"config.json lacks {', '.join(missing)}; take the one that came with the weights"
            )
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` of this model."""
        return {**FIXED, **asdict(self)}


MAY_BE_ZERO = ("pad_token_id",)
REQUIRED = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
