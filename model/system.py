"""What a system is: a model with a name, how it is trained, and who finds its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import optax

from model.config import ModelConfig
from model.initialisation import initial_parameters
from model.language_model import LanguageModel
from model.optimizer import adabelief, with_slow_projections
from model.parameters import Architecture, Parameters

if TYPE_CHECKING:
    from model.rpt import Relevance, RetrieverTraining


@dataclass(frozen=True)
class System:
    """A record of data_contracts/systems.py with the code that it names; that file describes the fields.

    `first_values` and `optimizer` are those of all systems but for rows in the form of other code.
    """

    name: str
    build: Callable[..., LanguageModel]
    supervision: Literal["none", "bm25", "bm25_q", "scored", "corpus"] = "none"
    retriever: Literal["none", "bm25", "random", "recency", "own", "corpus", "corpus_random"] = "none"
    carry: Literal["none", "document"] = "none"
    updates: Callable[[ModelConfig, int], float] = lambda config, tokens: 1.0
    relevance: Relevance | None = None
    weighs_pairs: bool = False
    retriever_training: Callable[..., RetrieverTraining] | None = None
    first_values: Callable[[Architecture, ModelConfig, int], Parameters] = initial_parameters
    optimizer: Callable[[optax.ScalarOrSchedule], optax.GradientTransformation] = adabelief
    learning_rate: float | None = None

    def optimizer_for(
        self, config: ModelConfig, rate: optax.ScalarOrSchedule
    ) -> optax.GradientTransformation:
        """The optimizer at this rate; beside a lexical start or weighed pairs the retriever's projections
        learn more slowly than the rest.
        """
        optimizer = self.optimizer(rate)
        return (
            with_slow_projections(optimizer)
            if (config.lexical_start or self.weighs_pairs) and self.relevance is not None
            else optimizer
        )


def trained_as(system: System, training: RetrieverTraining) -> System:
    """The system with its retriever trained in that way; one that does not learn to retrieve stays
    as it is.
    """
    return (
        system
        if system.relevance is None
        else replace(system, build=partial(system.build, training=training))
    )
