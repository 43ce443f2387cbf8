"""A decoder in a GGUF file, the form of llama.cpp, turned once into a Hugging Face directory: float32
weights, config.json, tokenizer.json.

Weights are dequantised by the `gguf` package. Only what is known here is taken: an architecture, a tensor, a
kind of tokenizer or stretched positions that are not are refused by their names, since a model that is read a
little wrongly still gives labels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from model import llama
from model.causal_lm_files import wanted_tensors
from model.config_values import number, whole
from model.gguf_tokenizer import tokenizer_of
from model.llama_config import LlamaConfig
from model.llama_files import TENSORS
from model.tensor_file import save_tensors

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
PAIRED = ("llama",)
"""Where rotary positions turn neighbouring dimensions; Hugging Face turns halves of a head, so queries and
keys are put in its order.
"""
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
SIZES = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
ROPE_BASE = 10000.0
MOST_VALUES = 2**22  # of a list, such as the tokens: several times as many as the largest vocabularies


def convert(file: Path, directory: Path) -> None:
    """Write config.json, model.safetensors and tokenizer.json of the model in `file` into the existing
    `directory`.

    Raises:
        ValueError: if the file is no GGUF, or holds something that is not known here.
    """
    import gguf

    try:
        reader = _reader(file)
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"{file} is no GGUF file: {error}") from error
    facts = {name: field.contents() for name, field in reader.fields.items()}
    architecture = facts.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise ValueError(f"{file} holds a {architecture!r}; computed are {', '.join(ARCHITECTURES)}")
    shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in reader.tensors}
    values = _config(facts, architecture, shapes)
    heads = {"attn_q": values["num_attention_heads"], "attn_k": values["num_key_value_heads"]}
    tensors = {}
    for tensor in reader.tensors:
        name = _name(tensor.name)  # refuses what has no part to look at
        part = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        try:
            value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(shapes[tensor.name])
        except NotImplementedError as error:
            raise ValueError(f"{file}: the tensor {tensor.name}: {error}") from error
        tensors[name] = _halves(value, heads[part]) if architecture in PAIRED and part in heads else value
    _check_names(values, set(tensors))
    save_tensors(
        {name: np.asarray(value, np.float32) for name, value in tensors.items()},
        directory / "model.safetensors",
    )
    (directory / "config.json").write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    tokenizer_of(facts).save(str(directory / "tokenizer.json"))


def _reader(file: Path) -> Any:
    """The `gguf` package's reader, but one that ends where the file ends: it would go on with nothing for as
    long as a number says.
    """
    import gguf

    class Reader(gguf.GGUFReader):
        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            if int(offset) + np.dtype(dtype).itemsize * int(count) > len(self.data):
                raise ValueError("it ends before what it says it holds")
            return super()._get(offset, dtype, count, override_order)

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if (
                raw_type == gguf.GGUFValueType.ARRAY
                and (size := int(self._get(orig_offs + 4, np.uint64)[0])) > MOST_VALUES
            ):
                raise ValueError(f"a list of {size} values, read are at most {MOST_VALUES}")
            return super()._get_field_parts(orig_offs, raw_type)

    return Reader(file)


def _config(facts: dict[str, Any], architecture: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """`config.json` as Hugging Face has it."""
    if missing := [name for name in SIZES.values() if f"{architecture}.{name}" not in facts]:
        raise ValueError(f"the GGUF file lacks {', '.join(f'{architecture}.{name}' for name in missing)}")
    if "token_embd.weight" not in shapes:
        raise ValueError("the GGUF file lacks the tensor token_embd.weight")
    stretched = [
        name
        for name in facts
        if name.startswith(f"{architecture}.rope.scaling.") and facts[name] not in ("none", 1.0, "")
    ]
    if stretched:
        raise ValueError(
            f"the GGUF file has {stretched[0]} = {facts[stretched[0]]!r}; stretched positions are not read"
            " from GGUF"
        )
    stated = {name: facts[f"{architecture}.{key}"] for name, key in SIZES.items()}
    sizes = {
        name: (number if name == "rms_norm_eps" else whole)(name, value) for name, value in stated.items()
    }
    return {
        "architectures": [ARCHITECTURES[architecture]],
        "model_type": architecture,
        **sizes,
        "head_dim": whole(
            "head_dim",
            facts.get(
                f"{architecture}.attention.key_length", sizes["hidden_size"] // sizes["num_attention_heads"]
            ),
        ),
        "vocab_size": shapes["token_embd.weight"][0],
        "rope_theta": number("rope_theta", facts.get(f"{architecture}.rope.freq_base", ROPE_BASE)),
        "tie_word_embeddings": "output.weight" not in shapes,
    }


def _name(stored: str) -> str:
    """A tensor's name in Hugging Face."""
    if stored in OUTSIDE:
        return OUTSIDE[stored]
    block, _, rest = stored.removeprefix("blk.").partition(".")
    part, _, kind = rest.rpartition(".")
    if not stored.startswith("blk.") or part not in LAYER or kind not in ("weight", "bias"):
        raise ValueError(f"the GGUF file has a tensor {stored!r}, which is not known here")
    return f"model.layers.{block}.{LAYER[part]}.{kind}"


def _check_names(values: dict[str, Any], there: set[str]) -> None:
    """Refuses now what could not be loaded afterwards, such as biases that the configuration of the family
    does not name.
    """
    wanted = wanted_tensors(TENSORS, llama.shapes(LlamaConfig.from_dict(values)), len(there))
    if odd := sorted(wanted ^ there):
        kind = "lacks" if odd[0] in wanted else "has too many, such as"
        raise ValueError(
            f"the GGUF file {kind} the tensor {odd[0]} of a {values['model_type']} as it is computed here"
        )


def _halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in the order of Hugging Face: within a head, the first of every pair, then the
    second.
    """
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
