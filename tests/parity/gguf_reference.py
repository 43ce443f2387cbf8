"""A small byte-level BPE in GGUF files that name several ways to cut text, as `transformers` 5.24.0 reads
them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

PACKAGE, SEED = "transformers 5.24.0", 0
WAYS = ("gpt-2", "llama-bpe", "qwen2")
CONTROL, USER_DEFINED = "<|endoftext|>", "<think>"
TEXT = (
    "It's John's; WE'LL see, they'Re 12345 years, 3.14159 or 1e-10 and x2y3z4.\n"
    "def f(a_b, *c):\n    return (a_b[0] ** 2) // 10  # twice!!\n\n\n\tif not c:\r\n\t\tpass\r\n\r\n"
    "\\begin{align} \\alpha_{12} &= \\sum_{i=1}^{n} x_i^2, \\\\ \\end{align}  \n   \n"
    "Zwölf Boxkämpfer, çà et là; Ελληνικά, русский язык, 中文字符和数字１２３, العربية ٤٥٦, हिन्दी ७८९.\n"
    f"e\u0301 ½ ² Ⅷ 🙂👩‍💻 \u00a0nbsp\u2003em\u200bzero{CONTROL}behind{USER_DEFINED} thought</think>"
    "\x00\x7f   \n \t"
)

Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    """The text, the tokens (one a line), their types, the merges (one a line), and the ids for each way."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    vocabulary = trained.get_vocab()
    tokens = [*sorted(vocabulary, key=vocabulary.__getitem__), CONTROL, USER_DEFINED]
    merges = _merges(trained)
    types = [1] * len(vocabulary) + [gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED]
    found = {"text": _bytes(TEXT), "tokens": _bytes("\n".join(tokens)), "merges": _bytes("\n".join(merges))}
    found["types"] = np.array(types, np.int32)
    for way in WAYS:
        with tempfile.TemporaryDirectory() as directory:
            _write(Path(directory) / "model.gguf", way, tokens, merges, types)
            theirs = AutoTokenizer.from_pretrained(directory, gguf_file="model.gguf")
            found[f"ids.{way}"] = np.array(theirs(TEXT, add_special_tokens=False)["input_ids"], np.int32)
    return found


def _merges(trained: Tokenizer) -> list[str]:
    with tempfile.TemporaryDirectory() as directory:
        trained.model.save(directory)
        lines = (Path(directory) / "merges.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#version")]


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def _write(file: Path, way: str, tokens: list[str], merges: list[str], types: list[int]) -> None:
    writer = gguf.GGUFWriter(file, "llama")
    for name, value in (
        ("embedding_length", 8),
        ("block_count", 1),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("feed_forward_length", 8),
        ("context_length", 256),
    ):
        writer.add_uint32(f"llama.{name}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(way)
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    writer.add_token_types(types)
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
