"""Parameters of a decoder-only LM, stacked by layer, and the tensors of a Hugging Face directory: every
tensor is accounted for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import safe_open

from model.causal_lm import Params
from model.hugging_face_files import safetensors_files

# Path in the parameters -> (tensor name, whether it is stored transposed: kernels here are [in, out], there
# [out, in]).
Names = Mapping[tuple[str, ...], tuple[str, bool]]
Tensors = dict[str, np.ndarray]


def tensor_names(names: Names, path: tuple, shape: tuple[int, ...]) -> list[tuple[str, int | None]]:
    """Tensors behind one stacked parameter of `jax.tree_util`'s `path`, each with its layer (None outside the
    layers).
    """
    name, _ = names[_keys(path)]
    return (
        [(name.format(layer=layer), layer) for layer in range(shape[0])]
        if "{layer}" in name
        else [(name, None)]
    )


def wanted_tensors(names: Names, abstract: Params, stored: int) -> set[str]:
    """The names of all tensors behind parameters of these shapes; `stored` is how many there are.

    Raises:
        ValueError: if that is less than one a layer: a wrong number of layers would else be a list of as many
            names.
    """
    layers = max(
        leaf.shape[0]
        for path, leaf in jax.tree_util.tree_leaves_with_path(abstract)
        if "{layer}" in names[_keys(path)][0]
    )
    if layers > stored:
        raise ValueError(
            f"config.json implies {layers} layers, and there are {stored} tensors; the two do not belong"
            " together"
        )
    return {
        name
        for path, leaf in jax.tree_util.tree_leaves_with_path(abstract)
        for name, _ in tensor_names(names, path, leaf.shape)
    }


def to_tensors(names: Names, params: Params) -> Tensors:
    """Parameters as float32 tensors under their names in Hugging Face."""
    tensors = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        for name, layer in tensor_names(names, path, leaf.shape):
            value = np.asarray(leaf if layer is None else leaf[layer], np.float32)
            tensors[name] = value.T if _transposed(names, path) else value
    return tensors


def to_parameters(names: Names, abstract: Params, tensors: Tensors, dtype: str) -> Params:
    """Parameters of the shapes of `abstract`, cast to `dtype`.

    Raises:
        ValueError: if a tensor has another shape (it is named).
    """

    def assemble(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        found = tensor_names(names, path, leaf.shape)
        shape = leaf.shape[1:] if found[0][1] is not None else leaf.shape
        parts = [
            _checked(name, tensors[name].T if _transposed(names, path) else tensors[name], shape)
            for name, _ in found
        ]
        return jnp.asarray(np.stack(parts).reshape(leaf.shape), dtype)

    return jax.tree_util.tree_map_with_path(assemble, abstract)


def read_tensors(
    directory: Path,
    names: Names,
    abstract: Params,
    current: Callable[[str], str | None],
    optional: Collection[str] = (),
) -> Tensors:
    """The tensors of a directory by name.

    Args:
        directory: where the safetensors are.
        names, abstract: which tensors must be there, by the shapes of the parameters.
        current: the name that is used here for a stored one, None if the tensor is not needed.
        optional: names that may be there too.

    Raises:
        FileNotFoundError: if there are no safetensors.
        ValueError: if a tensor is missing, unknown, or stands twice (it is named).
    """
    tensors: Tensors = {}
    holders: dict[str, Path] = {}
    files = safetensors_files(directory)
    wanted = wanted_tensors(names, abstract, sum(map(_count, files)))
    for file in files:
        with safe_open(file, framework="numpy") as opened:
            for stored in opened.offset_keys():
                name = current(stored)
                if name is None:
                    continue
                if name not in wanted and name not in optional:
                    raise ValueError(
                        f"{file} has a tensor {stored} that this config.json does not use; the two do not"
                        " belong together"
                    )
                if name in holders:
                    raise ValueError(
                        f"the tensor {name} stands in {holders[name]} and again in {file}; remove what does"
                        " not belong there"
                    )
                tensors[name], holders[name] = opened.get_tensor(stored), file
    missing = sorted(set(wanted) - tensors.keys())
    if missing:
        raise ValueError(
            f"{directory} lacks {len(missing)} of {len(wanted)} tensors, the first is {missing[0]}; download"
            " it again"
        )
    return tensors


def check_tie(tensors: Tensors, head: str, embedding: str) -> None:
    """Some files keep a tied head; it must then be the embedding.

    Raises:
        ValueError: if it is another matrix.
    """
    if head in tensors and not np.array_equal(tensors[head], tensors[embedding]):
        raise ValueError(
            f"config.json ties the head to the embedding, but {head} is another matrix; the two do not belong"
            " together"
        )


def _count(file: Path) -> int:
    """Tensors in a file."""
    with safe_open(file, framework="numpy") as opened:
        return len(opened.offset_keys())


def _keys(path: tuple) -> tuple[str, ...]:
    return tuple(key.key for key in path)


def _transposed(names: Names, path: tuple) -> bool:
    return names[_keys(path)][1]


def _checked(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if value.shape != shape:
        raise ValueError(
            f"tensor {name} has shape {value.shape} as [in, out], config.json implies {shape}; the two do not"
            " belong together"
        )
    return value
