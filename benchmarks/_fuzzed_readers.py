"""The readers of files that others wrote, each with valid files of its own, what is damaged in them, and the
call that a stage makes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import _mutations as damage
from data_contracts.contract import read_columns
from data_contracts.documents import INPUTS, REASONS
from data_contracts.failure import Failure
from stages.ingestion.inputs import read_batch
from stages.ingestion.parquet_records import expected_columns
from stages.ingestion.sources import SourceFile
from stages.parameters import Corpus, Ingestion

READ, QUARANTINED = "read", "quarantined"
WINDOW = 32
LIMITS = Ingestion.model_validate({"min_document_chars": 20, "max_quarantine_fraction": 0.9, "shards": 1})
TEXTS = [" ".join(f"word{(number * step) % 97}" for step in range(1, 60)) for number in range(12)]


@dataclass(frozen=True)
class Reader:
    """`make` writes valid files into a folder, `damaged` are those of them that may be damaged and how,
    `read` is what a stage does.
    """

    make: Callable[[Path], None]
    damaged: dict[str, damage.Mutation]
    read: Callable[[Path], str]


def _lines() -> bytes:
    return "".join(
        json.dumps({"text": text, "license": "MIT", "meta": {"year": 2019}}) + "\n" for text in TEXTS
    ).encode()


def _array() -> bytes:
    return json.dumps([{"text": text} for text in TEXTS], indent=1).encode()


def _parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"text": TEXTS, "license": pa.array(["MIT"] * len(TEXTS)).dictionary_encode()}),
        sink,
        row_group_size=5,
    )
    return sink.getvalue().to_pybytes()


def _ingestion(name: str, content: Callable[[], bytes], mutation: damage.Mutation) -> Reader:
    """A file of a corpus through the first pass of ingestion."""

    def make(folder: Path) -> None:
        (folder / name).write_bytes(content())

    def read(folder: Path) -> str:
        corpus = Corpus.model_validate({"source": str(folder / name)})
        file = SourceFile(name, str(folder / name), (folder / name).stat().st_size)
        read_batch("part-00000.parquet", folder, [file], corpus, LIMITS, expected_columns([file], corpus))
        table = read_columns(INPUTS, folder / "part-00000.parquet", ["source", "reason", "detail"])
        refused = [row for row in table.to_pylist() if row["reason"]]
        assert all(row["reason"] in REASONS and row["detail"] and row["source"] == name for row in refused), (
            refused
        )
        return QUARANTINED if refused or not table.num_rows else READ

    return Reader(make, {name: mutation}, read)


def _train_tokenizer(folder: Path) -> None:
    from stages.tokens.tokenizer import train_tokenizer

    train_tokenizer(iter(TEXTS), 300).save(str(folder / "tokenizer.json"))


def _read_tokenizer(folder: Path) -> str:
    """As the tokenizer of a corpus: chosen, tried on text, used."""
    from stages.tokens.round_trip import check_round_trip
    from stages.tokens.text_pieces import cutter
    from stages.tokens.token_bytes import DocumentBytes
    from stages.tokens.tokenizer import existing_tokenizer, load_tokenizer, vocabulary_size

    existing_tokenizer(str(folder / "tokenizer.json"), None).save(str(folder / "chosen.json"))
    (folder / "chosen").mkdir(exist_ok=True)
    (folder / "chosen.json").replace(folder / "chosen" / "tokenizer.json")
    load_tokenizer.cache_clear()
    tokenizer = load_tokenizer(folder / "chosen")
    check_round_trip(tokenizer, "tokenizer.json", TEXTS[:3])
    count = DocumentBytes(tokenizer)
    for piece in cutter(tokenizer)(TEXTS[0]):
        count(np.array(tokenizer.encode(piece, add_special_tokens=False).ids))
    vocabulary_size(tokenizer)
    return READ


def _make_neox(folder: Path) -> None:
    from model import gpt_neox, gpt_neox_files
    from model.gpt_neox_config import GPTNeoXConfig

    config = GPTNeoXConfig(300, 16, 2, 2, 32, 64)
    gpt_neox_files.save(folder, config, _numbers(gpt_neox.shapes(config)))
    _train_tokenizer(folder)


def _make_llama(folder: Path) -> None:
    """A Llama with its weights in two shards and their index."""
    from model import llama
    from model.causal_lm_files import to_tensors
    from model.llama_config import LlamaConfig
    from model.llama_files import TENSORS
    from model.tensor_file import save_tensors

    values = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 300,
        "hidden_size": 16,
        "rms_norm_eps": 1e-5,
    }
    values |= {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    (folder / "config.json").write_text(
        json.dumps(values | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}})
    )
    tensors = to_tensors(TENSORS, _numbers(llama.shapes(LlamaConfig.from_dict(values))))
    places = {
        name: f"model-{number % 2 + 1:05d}-of-00002.safetensors"
        for number, name in enumerate(sorted(tensors))
    }
    for file in sorted(set(places.values())):
        save_tensors({name: tensors[name] for name in tensors if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
    )
    _train_tokenizer(folder)


def _numbers(tree: dict) -> dict:
    import jax

    return jax.tree_util.tree_map(
        lambda leaf: np.random.default_rng(0).normal(size=leaf.shape).astype(np.float32), tree
    )


def _read_lm(folder: Path) -> str:
    """As the reference LM: checked as it is chosen, loaded as it scores."""
    from stages.engines.choice import explained, make_engine
    from stages.engines.jax_engine import JaxScoringLM
    from stages.reference_lm.fit import check_sizes
    from stages.tokens.scorer_tokens import load_scorer_tokenizer, scorer_tokens
    from stages.tokens.tokenizer import vocabulary_size

    tokenizer = load_scorer_tokenizer(folder)
    scorer_tokens(tokenizer, TEXTS[:2])
    check_sizes(str(folder), folder, WINDOW, vocabulary_size(tokenizer))
    make_engine("jax", folder)
    with explained("jax", folder):
        assert JaxScoringLM(folder).params
    return READ


def _make_bert(folder: Path) -> None:
    from model.baselines.bert import BertEncoder
    from model.baselines.bert_config import BertConfig
    from model.baselines.bert_files import tensor_name
    from model.parameters import Architecture
    from model.tensor_file import save_tensors

    values = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": 300,
        "hidden_size": 16,
        "num_hidden_layers": 1,
    }
    values |= {
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
    }
    values |= {
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(values))
    sizes = Architecture.of(BertEncoder, BertConfig.from_dict(values)).parameter_sizes()
    tensors = {
        tensor_name(path): np.ones(size[::-1] if path.endswith("kernel") else size, np.float32)
        for path, size in sizes.items()
    }
    save_tensors(tensors, folder / "model.safetensors")
    _train_tokenizer(folder)


def _read_bert(folder: Path) -> str:
    """As an encoder, pinned to what the folder holds now."""
    from model.hugging_face_files import digest
    from stages.bert import find_bert

    find_bert(str(folder), digest(folder), "passage_encoder")
    return READ


def _make_gguf(folder: Path) -> None:
    import gguf
    from safetensors.numpy import load_file

    from model import gguf_files

    source = folder / "llama"
    source.mkdir()
    _make_llama(source)
    config = json.loads((source / "config.json").read_text()) | {"num_key_value_heads": 2}
    tokenizer = json.loads((source / "tokenizer.json").read_text())["model"]
    tensors = {
        name: value for file in source.glob("*.safetensors") for name, value in load_file(file).items()
    }
    back = {ours: stored for stored, ours in gguf_files.OUTSIDE.items()}
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    for ours, stated in gguf_files.SIZES.items():
        (writer.add_float32 if isinstance(config[ours], float) else writer.add_uint32)(
            f"llama.{stated}", config[ours]
        )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(tokenizer["vocab"], key=tokenizer["vocab"].get))
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_token_types([3, *(1 for _ in range(len(tokenizer["vocab"]) - 1))])
    for name, value in sorted(tensors.items()):
        block = dict(zip(("layer", "part"), name.removeprefix("model.layers.").split(".", 1), strict=False))
        stored = back.get(name) or next(
            f"blk.{block['layer']}.{stored}.weight"
            for stored, ours in gguf_files.LAYER.items()
            if block["part"] == f"{ours}.weight"
        )
        writer.add_tensor(stored, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read_gguf(folder: Path) -> str:
    """As `./rpt use-lm` turns it into a model directory, which is then read."""
    from flows.commands import use_lm

    use_lm.ROOT = folder
    place = folder / use_lm._from_gguf(folder / "model.gguf")
    return _read_lm(place)


def _make_settings(folder: Path) -> None:
    (folder / "params.yaml").write_bytes((Path(__file__).parents[1] / "profiles" / "demo.yaml").read_bytes())


def _read_settings(folder: Path) -> str:
    from stages.parameters import load

    load(folder / "params.yaml")
    return READ


READERS = {
    "jsonl": _ingestion("records.jsonl", _lines, damage.of_lines),
    "json_array": _ingestion("records.json", _array, damage.of_json),
    "jsonl_gz": _ingestion(
        "records.jsonl.gz", lambda: gzip.compress(_lines(), mtime=0), damage.of_gzip_lines
    ),
    "jsonl_zst": _ingestion("records.jsonl.zst", lambda: damage.zstd(_lines()), damage.of_zstd_lines),
    "recognised": _ingestion("records", _lines, damage.of_lines),
    "text_gz": _ingestion(
        "text.txt.gz", lambda: gzip.compress("\n".join(TEXTS).encode(), mtime=0), damage.of_bytes
    ),
    "text_zst": _ingestion("text.txt.zst", lambda: damage.zstd("\n".join(TEXTS).encode()), damage.of_bytes),
    "parquet": _ingestion("records.parquet", _parquet, damage.of_bytes),
    "tokenizer": Reader(_train_tokenizer, {"tokenizer.json": damage.of_json}, _read_tokenizer),
    "gpt_neox": Reader(
        _make_neox,
        {
            "config.json": damage.of_json,
            "model.safetensors": damage.of_safetensors,
            "tokenizer.json": damage.of_json,
        },
        _read_lm,
    ),
    "llama": Reader(
        _make_llama,
        {
            "config.json": damage.of_json,
            "model.safetensors.index.json": damage.of_json,
            "model-00001-of-00002.safetensors": damage.of_safetensors,
        },
        _read_lm,
    ),
    "bert": Reader(
        _make_bert, {"config.json": damage.of_json, "model.safetensors": damage.of_safetensors}, _read_bert
    ),
    "gguf": Reader(_make_gguf, {"model.gguf": damage.of_header_numbers}, _read_gguf),
    "settings": Reader(_make_settings, {"params.yaml": damage.of_numbers}, _read_settings),
}


def complaint(failure: Failure, words: tuple[str, ...]) -> str | None:
    """What a refusal lacks: each of its three lines must say something, and one of `words`, of which it is,
    must stand there.
    """
    if not all(part.strip() for part in (failure.what, failure.cause, failure.remedy)):
        return f"a refusal with an empty line: {failure}"
    if "Traceback" in str(failure) or "see the traceback" in failure.remedy:
        return f"a traceback for a remedy: {failure}"
    if not any(word in str(failure) for word in words):
        return f"a refusal that does not say of what: {failure}"
    return None
