"""Ways in which a reference LM's directory cannot be used, each with what must be said of it; for the tests
of every engine.
"""

import json
from pathlib import Path


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def pickled_by_torch(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "model.pt")


def code_of_its_own(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(
        json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "model.Evil"}})
    )


def no_json(directory: Path) -> None:
    (directory / "config.json").write_text("{")


def no_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()


UNUSABLE = [  # change, cause, remedy
    (pickled, "pytorch_model.bin", "safe_serialization=True"),
    (pickled_by_torch, "model.pt", "safe_serialization=True"),
    (code_of_its_own, "auto_map", "use a plain GPTNeoXForCausalLM"),
    (no_json, "Expecting", "re-run reference_lm"),
    (no_tokenizer, "tokenizer.json is missing", "copy the tokenizer.json"),
]
