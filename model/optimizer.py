"""AdaBelief (Zhuang et al., arXiv 2010.07468) with the paper's weight decay and clipping (appendix A)."""

from __future__ import annotations

from typing import Any

import optax

WEIGHT_DECAY = 1e-8
CLIP_NORM = 1.0
PROJECTIONS_RATE = 0.1  # of W_Q and W_K beside a lexical start, against the rate of the rest
RETRIEVER_PROJECTIONS = ("retriever.query_projection.", "retriever.key_projection.")
ONLY_RANKED = (*RETRIEVER_PROJECTIONS, "retriever.lexical.", "retriever.pairs.")


def adabelief(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Clip to norm 1, scale by belief (b1 0.9, b2 0.99, eps = eps_root = 1e-16), decay by 1e-8 (decoupled),
    step.

    W_Q and W_K of the retriever and its lexical weights are clipped as a group of their own: only the ranking
    loss reaches them, on a scale of its own. b1, b2 and eps are the official code's; the paper is silent on
    them. Parameters are a dictionary keyed by dotted path.
    """
    clip = optax.clip_by_global_norm(CLIP_NORM)
    return optax.chain(
        optax.partition({"only_ranked": clip, "rest": clip}, _groups),
        optax.scale_by_belief(b1=0.9, b2=0.99, eps=1e-16, eps_root=1e-16),
        optax.add_decayed_weights(WEIGHT_DECAY),
        optax.scale_by_learning_rate(learning_rate),
    )


def with_slow_projections(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same with steps of the retriever's W_Q and W_K `PROJECTIONS_RATE` times as long.

    Two full matrices soon fit the few sequences of a small corpus, and lose what held for others
    (docs/log.md).
    """
    scales = {"projections": optax.scale(PROJECTIONS_RATE), "rest": optax.identity()}
    return optax.chain(optimizer, optax.partition(scales, _parts))


def _parts(parameters: dict[str, Any]) -> dict[str, str]:
    return {path: "projections" if path.startswith(RETRIEVER_PROJECTIONS) else "rest" for path in parameters}


def _groups(parameters: dict[str, Any]) -> dict[str, str]:
    return {path: "only_ranked" if path.startswith(ONLY_RANKED) else "rest" for path in parameters}
