"""A BERT small enough to train in a test, as a Hugging Face directory with a tokenizer of its own."""

import json
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from model.baselines.bert import BertEncoder
from model.baselines.bert_config import BertConfig
from model.baselines.bert_files import tensor_name
from model.parameters import Architecture

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_pieces(texts: list[str], size: int = 200) -> Tokenizer:
    """A lower-cased WordPiece tokenizer, `[CLS] text [SEP]`, as BERT-base-uncased has it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def write_bert(directory: Path, texts: list[str], longest: int = 40, seed: int = 0) -> BertConfig:
    """2 layers of 16, 2 heads; random weights."""
    tokenizer = word_pieces(texts)
    directory.mkdir(parents=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = BertConfig(tokenizer.get_vocab_size(), 16, 2, 2, 32, max_position_embeddings=longest)
    (directory / "config.json").write_text(json.dumps(config.to_dict()))
    tensors, key = {}, jax.random.key(seed)
    for number, (path, size) in enumerate(
        sorted(Architecture.of(BertEncoder, config).parameter_sizes().items())
    ):
        value = np.asarray(jax.random.normal(jax.random.fold_in(key, number), size)) * 0.3 + path.endswith(
            "scale"
        )
        tensors["bert." + tensor_name(path)] = np.ascontiguousarray(
            value.T if path.endswith("kernel") else value
        )
    save_file(tensors, directory / "model.safetensors")
    return config
