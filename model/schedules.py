"""What changes during training, as functions of the fraction of the run that is done (0 to 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp
import optax
from jax import Array

from model.language_model import Schedule

LEARNING_RATE_WARM_UP = 0.05
LEARNING_RATE_FLOOR = 0.1


def margin(fraction: float, highest: float) -> float:
    """tau of the ranking loss: linear from 1 to `highest` over the whole run (paper section 3.3; its values:
    appendix A).
    """
    return 1.0 + (highest - 1.0) * min(max(fraction, 0.0), 1.0)


def ranking_weight(fraction: float, alpha: float, ramp: float) -> float:
    """Weight of the ranking loss: linear from 0 to `alpha` over the first `ramp` of the run (paper section
    3.3: 0.2).
    """
    return alpha * min(max(fraction, 0.0) / ramp, 1.0) if ramp > 0 else alpha


def own_probability(fraction: float, end: float) -> float:
    """1 - p_ss: a half cosine from 0 to 1 over the first `end` of the run (paper section 3.4: 0.9),
    then 1.
    """
    done = min(max(fraction, 0.0) / end, 1.0) if end > 0 else 1.0
    return 0.5 * (1.0 - math.cos(math.pi * done))


@dataclass(frozen=True)
class TrainingSchedule:
    """The three schedules of a run: highest margin, weight of the ranking loss and its ramp, end of scheduled
    sampling.
    """

    tau_max: float
    alpha: float
    alpha_ramp: float
    sampling_end: float

    def at(self, step: int, total_steps: int) -> Schedule:
        """Values for one step, counted from 0."""
        fraction = step / total_steps
        return Schedule(
            margin(fraction, self.tau_max),
            ranking_weight(fraction, self.alpha, self.alpha_ramp),
            own_probability(fraction, self.sampling_end),
        )


def learning_rate(peak: float, total_steps: int, warm_up: float = LEARNING_RATE_WARM_UP) -> optax.Schedule:
    """Step -> rate: linear warm-up over the fraction `warm_up` of the run, half a cosine down to a tenth of
    the peak (paper appendix A).
    """
    warm_steps = max(1, round(warm_up * total_steps))

    def rate(step: Array) -> Array:
        rising = (step + 1) / warm_steps
        done = jnp.clip((step - warm_steps) / max(1, total_steps - warm_steps), 0.0, 1.0)
        falling = LEARNING_RATE_FLOOR + (1.0 - LEARNING_RATE_FLOOR) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))
        return peak * jnp.minimum(rising, falling)

    return rate
