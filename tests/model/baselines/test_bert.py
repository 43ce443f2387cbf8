"""BERT against `transformers` 5.24.0 (goldens/bert.npz, seed 0), from directories as they are found; and what
is refused.
"""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.baselines.bert import Bert, BertEncoder
from model.baselines.bert_config import BertConfig
from model.baselines.bert_files import load, read_config
from model.parameters import Architecture
from tests.model.programs import compiled
from tests.model.test_reference_parity import golden


@pytest.fixture(scope="module")
def bert() -> dict[str, np.ndarray]:
    return golden("bert")


def parts(bert, prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in bert.items() if name.startswith(prefix)}


def old(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.fixture
def directory(bert, tmp_path):
    """As `transformers` writes it, with the heads of pre-training."""
    config = {name: value.item() for name, value in parts(bert, "config.").items()}
    (tmp_path / "config.json").write_text(
        json.dumps({"architectures": ["BertForPreTraining"], "model_type": "bert", **config})
    )
    save_file(parts(bert, "tensor."), tmp_path / "model.safetensors")
    return tmp_path


@compiled
def represented(model, pieces_XT, key=None):
    return model(pieces_XT, key)


def states(directory, pieces_XT, key=None) -> np.ndarray:
    config = read_config(directory)
    return np.asarray(
        represented(Architecture.of(Bert, config).model(load(directory, config)), pieces_XT, key)
    )


@pytest.mark.parametrize("style", ["as written", "older names", "without a head", "in two files"])
def test_states_are_those_of_transformers(style, bert, directory):
    file = directory / "model.safetensors"
    tensors = load_file(file)
    if style == "older names":
        save_file(
            {old(name): value for name, value in tensors.items()}
            | {"bert.embeddings.position_ids": np.arange(16)[None]},
            file,
        )
    if style == "without a head":
        save_file(
            {
                name.removeprefix("bert."): value
                for name, value in tensors.items()
                if name.startswith("bert.")
            },
            file,
        )
    if style == "in two files":
        names = sorted(tensors)
        save_file({name: tensors[name] for name in names[:9]}, directory / "model-00001-of-00002.safetensors")
        save_file({name: tensors[name] for name in names[9:]}, directory / "model-00002-of-00002.safetensors")
        file.unlink()
    found = states(directory, bert["pieces_XT"])
    np.testing.assert_allclose(
        np.where(bert["pieces_XT"][..., None] != 0, found, 0.0), bert["states_XTD"], rtol=0, atol=2e-6
    )


def test_a_text_is_represented_by_its_first_piece_and_padding_does_not_matter(bert, directory):
    config = read_config(directory)
    model = Architecture.of(BertEncoder, config).model(load(directory, config))
    short = represented(model, bert["pieces_XT"][1:2, :7])
    assert short.shape == (1, 24)
    np.testing.assert_allclose(short[0], bert["states_XTD"][1, 0], rtol=0, atol=2e-6)
    np.testing.assert_allclose(
        represented(model, np.pad(bert["pieces_XT"], ((0, 0), (0, 4)))),
        bert["states_XTD"][:, 0],
        rtol=0,
        atol=2e-6,
    )


def test_dropout_only_with_a_key(bert, directory):
    kept, dropped = (states(directory, bert["pieces_XT"], key) for key in (None, jax.random.key(0)))
    again = states(directory, bert["pieces_XT"], jax.random.key(0))
    assert np.abs(kept - dropped).max() > 0.1
    np.testing.assert_array_equal(dropped, again)


def test_a_configuration_is_what_was_written():
    config = BertConfig(30_522, 768, 12, 12, 3072)
    assert BertConfig.from_dict(config.to_dict()) == config
    sizes = Architecture.of(Bert, config).parameter_sizes()
    # BERT-base without pooler and heads
    assert sum(int(np.prod(size)) for size in sizes.values()) == 108_891_648
    with pytest.raises(ValueError, match="hidden_size 768 is not a multiple of num_attention_heads 7"):
        replace(config, num_attention_heads=7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auto_map": {"AutoModel": "x.py"}}, "auto_map"),
        ({"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"model_type": "roberta"}, "model_type = 'roberta'"),
        ({"is_decoder": True}, "is_decoder = True"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"hidden_size": "24"}, "hidden_size is '24'"),
        ({"pad_token_id": None}, "pad_token_id is None"),
        ({"layer_norm_eps": None}, "layer_norm_eps is None"),
    ],
)
def test_what_is_not_computed_here_is_refused(change, said, directory):
    file = directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ValueError, match=said):
        read_config(directory)


def test_a_configuration_that_lacks_sizes_is_refused(directory):
    (directory / "config.json").write_text('{"model_type": "bert", "vocab_size": 5}')
    with pytest.raises(ValueError, match="lacks hidden_size"):
        read_config(directory)
    (directory / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="holds a list"):
        read_config(directory)
    (directory / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config.json is missing"):
        read_config(directory)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "bert.encoder.layer.7.output.dense.weight",
            np.zeros((2, 2), np.float32),
            "has a tensor bert.encoder.layer.7",
        ),
        ("bert.encoder.layer.1.output.dense.weight", np.zeros((2, 2), np.float32), r"has shape \(2, 2\)"),
        (
            "bert.encoder.layer.1.output.dense.weight",
            None,
            "the first is encoder.layer.1.output.dense.weight",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(name, value, said, directory):
    tensors = load_file(directory / "model.safetensors")
    tensors.pop(name, None)
    save_file(tensors if value is None else tensors | {name: value}, directory / "model.safetensors")
    with pytest.raises(ValueError, match=said):
        load(directory, read_config(directory))


def test_damaged_weights_are_named(directory):
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read"):
        load(directory, read_config(directory))


def test_each_text_and_head_drops_what_it_draws(directory, bert):
    """Attention dropout alone: copies of a text come out different."""
    config = replace(read_config(directory), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.5)
    model = Architecture.of(BertEncoder, config).model(load(directory, config))
    copies = represented(model, np.repeat(bert["pieces_XT"][:1], 8, axis=0), jax.random.key(0))
    assert len(np.unique(np.asarray(copies).round(4), axis=0)) == 8


def test_pickled_weights_are_never_opened(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"only \['pytorch_model.bin'\]"):
        load(directory, read_config(directory))
