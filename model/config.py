"""The shape of a model: every number that decides its parameters and its computation."""

from __future__ import annotations

from dataclasses import dataclass, replace

LEXICAL_TERMS = 1024  # that a lexical start tells apart; larger vocabularies share them


@dataclass(frozen=True)
class Shape:
    """Sizes of a system; one value serves every system, which takes from it what it needs.

    Lengths are in tokens, except `stride_chunks` and `gate_window`, which are in chunks. The visible window of self-attention is
    the stride before a token's own, in full, and its own stride up to the token (paper section 3.4: 2048 = 1024 + 1024).
    The first `lower` layers are the lower decoder, half of all if it is None. `cca_layers` are the layers with chunked cross-attention,
    numbered from 1 over both decoders. `dtype` is that of the activations: parameters, norms, softmax, retrieval scores and losses are
    float32 always. With `remat` the backward pass computes each block's activations again instead of keeping them. With
    `copying` heads are told how far the text before a key agrees with that up to the query (model/agreement.py), and begin with reading
    what followed (model/copying_values.py).
    With `lexical_start` a retriever's scores begin with shared tokens and nearness (model/lexical_start.py).

    Raises:
        ValueError: a size is out of range; the message names the value, the limit and the remedy.
    """

    vocabulary_size: int
    width: int
    layers: int
    heads: int
    chunk_tokens: int
    stride_chunks: int
    cca_layers: tuple[int, ...]
    neighbours: int
    gate_window: int
    dropout: float
    zero_init_residuals: bool
    dtype: str
    remat: bool
    copying: bool = False
    lexical_start: bool = False
    lower: int | None = None

    def __post_init__(self) -> None:
        for name in ("vocabulary_size", "width", "heads", "stride_chunks", "neighbours", "gate_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1: set a positive size")
        if self.layers < 2:
            raise ValueError(f"layers is {self.layers}, must be at least 2: the model has a lower and an upper decoder")
        if not 1 <= self.lower_layers < self.layers:
            raise ValueError(f"lower is {self.lower}, must be 1 to {self.layers - 1}: the upper decoder needs a layer")
        if self.chunk_tokens < 2:
            raise ValueError(f"chunk_tokens is {self.chunk_tokens}, must be at least 2: choose a longer chunk (the paper's is 64)")
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} is not a multiple of 2 * heads = {2 * self.heads}: rotary positions turn pairs of features in "
                f"each head; change width or heads"
            )
        outside = [layer for layer in self.cca_layers if not self.lower_layers < layer <= self.layers]
        if outside or len(set(self.cca_layers)) != len(self.cca_layers):
            raise ValueError(
                f"cca_layers {self.cca_layers} must be distinct layers of the upper decoder, {self.lower_layers + 1} to {self.layers}: "
                f"remove {outside or 'the repeated ones'}"
            )
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype is {self.dtype!r}, must be float32 or bfloat16: float16 would need the loss scaled")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, must be in [0, 1): set 0 to turn it off")

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
        return self.width + (LEXICAL_TERMS + 1 if self.lexical_start else 0)

    @property
    def stride_tokens(self) -> int:
        """Tokens of a window stride; the length of a sequence is a multiple of it."""
        return self.stride_chunks * self.chunk_tokens

    def as_published(self) -> Shape:
        """The shape without what only small models of this project are given."""
        return replace(self, copying=False)

    def chunks_of(self, tokens: int) -> int:
        """Chunks of a sequence of `tokens` tokens.

        Raises:
            ValueError: the length is not a positive multiple of the stride.
        """
        if tokens < 1 or tokens % self.stride_tokens:
            raise ValueError(
                f"the sequence has {tokens} tokens, not a positive multiple of the stride of {self.stride_tokens} tokens: pad it at the end"
            )
        return tokens // self.chunk_tokens
