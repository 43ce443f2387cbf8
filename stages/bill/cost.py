"""What scoring costs, as arithmetic: floating-point operations from the reference LM's sizes, hours and
prices from those.

A multiplication and an addition are two operations. Only matrix products are counted: norms, activations and
embeddings are below 1 %. A pair is a prompt of four chunks of m tokens, (c_j, c_j+1, c_q, c_t), of which c_t
is scored (paper section 3.2, arXiv 2306.13421). Where the reference LM has another tokenizer, m is the mean
of its tokens in a chunk (stages/tokens/scorer_lengths.py), without padding. The prefix (c_j, c_j+1) is
computed once for all pairs that share it, the suffix (c_q, c_t) for every pair, the vocabulary head on the m
positions that predict c_t.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from model.decoder_config import DecoderConfig
from stages.devices import PEAK_FLOPS
from stages.parameters import Device

# of the peak; a common figure for large matrix products in transformers, not measured with these engines
UTILISATION = 0.4
LABEL_BYTES = 32  # a row of the labels in Parquet; measured on the demo: 31.2


@dataclass(frozen=True)
class Volume:
    """How much there is to score: `rows` of labels for `queries`; distinct `pairs`, of which `new_pairs` are
    not known yet and share `new_prefixes` distinct prefixes."""

    queries: int = 0
    rows: int = 0
    pairs: int = 0
    new_pairs: int = 0
    new_prefixes: int = 0

    def __add__(self, other: Volume) -> Volume:
        return Volume(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def scaled(self, factor: float) -> Volume:
        """`factor` times as much of everything, rounded."""
        return Volume(*(round(factor * value) for value in astuple(self)))


def layers_flops(config: DecoderConfig, tokens: float, before: float = 0) -> float:
    """Operations of all layers for `tokens` consecutive tokens that see each other causally and `before`
    earlier ones.

    Each parameter of a layer's matrices is used in one multiply-add a token; attention does two products of
    the width of all heads with every position seen (Kaplan et al. 2020, arXiv 2001.08361, table 1, but
    causal).
    """
    matrices, attention = 2 * config.layer_matrices, 4 * config.attention_width * (before + (tokens + 1) / 2)
    return config.num_hidden_layers * tokens * (matrices + attention)


def head_flops(config: DecoderConfig, positions: float) -> float:
    """Operations of the vocabulary head, D x V parameters, on some positions."""
    return 2.0 * positions * config.hidden_size * config.vocab_size


def prefix_flops(config: DecoderConfig, chunk_tokens: float) -> float:
    """Operations of one prefix of two chunks; its predictions are not needed."""
    return layers_flops(config, 2 * chunk_tokens)


def suffix_flops(config: DecoderConfig, chunk_tokens: float) -> float:
    """Operations of one suffix of two chunks after a prefix, the head on one chunk."""
    return layers_flops(config, 2 * chunk_tokens, 2 * chunk_tokens) + head_flops(config, chunk_tokens)


def whole_prompt_flops(config: DecoderConfig, chunk_tokens: float) -> float:
    """Operations of a pair that shares nothing, as prompt log-probabilities usually cost: the head on all
    positions but the last.
    """
    return layers_flops(config, 4 * chunk_tokens) + head_flops(config, 4 * chunk_tokens - 1)


def scoring_flops(config: DecoderConfig, chunk_tokens: float, prefixes: float, pairs: float) -> float:
    """Operations for `pairs` pairs over `prefixes` distinct prefixes."""
    return prefixes * prefix_flops(config, chunk_tokens) + pairs * suffix_flops(config, chunk_tokens)


def scoring_tokens(chunk_tokens: float, prefixes: int, pairs: int) -> int:
    """Tokens that pass through the layers: two chunks for a prefix, two for a suffix."""
    return round(2 * chunk_tokens * (prefixes + pairs))


def device_hours(flops: float, device: Device, dtype: str) -> float:
    """Hours of one device for so many operations at `UTILISATION` of its peak in `dtype`, float16
    or float32.
    """
    return flops / (UTILISATION * PEAK_FLOPS[device][dtype]) / 3600
