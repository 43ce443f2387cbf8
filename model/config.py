"""The configuration of a model: every number that decides its parameters and its computation."""

from __future__ import annotations

from dataclasses import dataclass, replace

LEXICAL_TERMS = 1024  # that a lexical start tells apart; larger vocabularies share them
PAIR_FEATURES = 8  # of a pair of chunks (model/pair_features.py)


def check_heads(width: int, heads: int) -> None:
    """Whether the heads of an attention can share out its width.

    Raises:
        ValueError: they cannot.
    """
    if width % (2 * heads):
        raise ValueError(
            f"width {width} is not a multiple of 2 * heads = {2 * heads}: rotary positions turn pairs of"
            " features in each head; change width or heads"
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of a system; one value serves every system, which takes from it what it needs. Layers are
    numbered from 1 over both decoders.

    Raises:
        ValueError: a size is out of range; the message names the value, the limit and the remedy.
    """

    vocabulary_size: int
    width: int
    layers: int
    heads: int
    chunk_tokens: int
    stride_chunks: int
    """Chunks of a window stride. Self-attention sees the stride before a token's own, in full, and its own up
    to the token (paper section 3.4: 2048 = 1024 + 1024)."""
    cca_layers: tuple[int, ...] = ()
    """Layers with chunked cross-attention, all of them in the upper decoder."""
    recurrent_layers: tuple[int, ...] = ()
    """Layers with a recurrence (Griffin)."""
    neighbours: int = 1
    """Chunks that a chunk retrieves and reads."""
    gate_window: int = 1
    """Chunks whose neighbours the gate attends to."""
    dropout: float = 0.0
    zero_init_residuals: bool = False
    """Output projections of residual branches begin at zero."""
    dtype: str = "float32"
    """Of the activations, or bfloat16. Parameters, norms, softmax, retrieval scores and losses are float32
    always.
    """
    remat: bool = False
    """The backward pass computes each block's activations again instead of keeping them."""
    copying: bool = False
    """Heads are told how far the text before a key agrees with that up to the query (model/agreement.py), and
    begin with reading what followed (model/copying_values.py)."""
    lexical_start: bool = False
    """A retriever's scores begin with shared tokens and nearness (model/lexical_start.py)."""
    pair_features: bool = False
    """A retriever weighs what the tokens of two chunks say of each other (model/pair_features.py)."""
    lower: int | None = None
    """Layers of the lower decoder; None: half of all."""

    def __post_init__(self) -> None:
        for name in ("vocabulary_size", "width", "heads", "stride_chunks", "neighbours", "gate_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1: set a positive size")
        if self.layers < 2:
            raise ValueError(
                f"layers is {self.layers}, must be at least 2: the model has a lower and an upper decoder"
            )
        if not 1 <= self.lower_layers < self.layers:
            raise ValueError(
                f"lower is {self.lower}, must be 1 to {self.layers - 1}: the upper decoder needs a layer"
            )
        if self.chunk_tokens < 2:
            raise ValueError(
                f"chunk_tokens is {self.chunk_tokens}, must be at least 2: choose a longer chunk (the paper's"
                " is 64)"
            )
        check_heads(self.width, self.heads)
        self._check_layers("cca_layers", "of the upper decoder", self.lower_layers + 1)
        self._check_layers("recurrent_layers", "of the model", 1)
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(
                f"dtype is {self.dtype!r}, must be float32 or bfloat16: float16 would need the loss scaled"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, must be in [0, 1): set 0 to turn it off")

    def _check_layers(self, name: str, where: str, first: int) -> None:
        layers = getattr(self, name)
        outside = [layer for layer in layers if not first <= layer <= self.layers]
        if outside or len(set(layers)) != len(layers):
            raise ValueError(
                f"{name} {layers} must be distinct layers {where}, {first} to {self.layers}: remove"
                f" {outside or 'the repeated ones'}"
            )

    @property
    def lower_layers(self) -> int:
        """Layers of the lower decoder."""
        return self.layers // 2 if self.lower is None else self.lower

    @property
    def head_size(self) -> int:
        """Features of one attention head."""
        return self.width // self.heads

    @property
    def turned(self) -> int | None:
        """Features of a head that rotary positions turn in windows and in cross-attention; None for all."""
        return max(2, 2 * round(self.head_size / 8)) if self.copying else None

    @property
    def retrieval_width(self) -> int:
        """Features of a chunk's query and key."""
        lexical = LEXICAL_TERMS + 1 if self.lexical_start else 0
        return self.width + lexical + (self.chunk_tokens + PAIR_FEATURES if self.pair_features else 0)

    @property
    def stride_tokens(self) -> int:
        """Tokens of a window stride; the length of a sequence is a multiple of it."""
        return self.stride_chunks * self.chunk_tokens

    def with_pair_features(self) -> ModelConfig:
        """The configuration with weighed features of pairs in place of a lexical start."""
        return replace(self, lexical_start=False, pair_features=True)

    def as_published(self) -> ModelConfig:
        """The configuration without what only small models of this project are given."""
        return replace(self, copying=False, lexical_start=False)

    def chunks_of(self, tokens: int) -> int:
        """Chunks of a sequence of `tokens` tokens.

        Raises:
            ValueError: the length is not a positive multiple of the stride.
        """
        if tokens < 1 or tokens % self.stride_tokens:
            raise ValueError(
                f"the sequence has {tokens} tokens, not a positive multiple of the stride of"
                f" {self.stride_tokens} tokens: pad it at the end"
            )
        return tokens // self.chunk_tokens
