"""A model without its parameters, and its parameters as a dictionary keyed by dotted path
("lower.layers.0.attention.query.kernel").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
from flax import nnx
from jax import Array

Model = TypeVar("Model", bound=nnx.Module)
Sizes = TypeVar("Sizes")
Parameters = dict[str, Array]
Path = tuple[Any, ...]


@dataclass(frozen=True)
class Architecture(Generic[Model]):
    """Everything about a model but the values of its parameters; equal for equal systems and shapes, and
    hashable.
    """

    graph: nnx.GraphDef[Model]
    paths: tuple[Path, ...]
    sizes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, build: Callable[[Sizes], Model], sizes: Sizes) -> Architecture[Model]:
        """Trace the construction of a model without computing anything."""
        graph, state = nnx.split(nnx.eval_shape(lambda: build(sizes)))
        leaves = list(nnx.to_flat_state(state))
        return cls(graph, tuple(path for path, _ in leaves), tuple(tuple(leaf.shape) for _, leaf in leaves))

    def parameter_sizes(self) -> dict[str, tuple[int, ...]]:
        """Dotted path -> sizes of the array."""
        return {dotted(path): size for path, size in zip(self.paths, self.sizes, strict=True)}

    def model(self, parameters: Mapping[str, Array]) -> Model:
        """The model with these parameters."""
        state: Any = nnx.from_flat_state([(path, parameters[dotted(path)]) for path in self.paths])
        return nnx.merge(self.graph, state)


def parameters_of(model: nnx.Module) -> Parameters:
    """All parameters of a model, by dotted path."""
    return {
        dotted(path): jax.numpy.asarray(leaf[...])
        for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }


def dotted(path: Path) -> str:
    """The parts of a path joined by dots."""
    return ".".join(map(str, path))
