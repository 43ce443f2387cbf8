"""Whether a finished model can be a corpus's reference LM: prompts long enough, and a tokenizer that gives
the corpus's text back.
"""

from __future__ import annotations

from pathlib import Path

from data_contracts.contract import open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.decoder_config import ARCHITECTURES, DecoderConfig, read_config
from stages.tokens.chunk_texts import bytes_of_tokens
from stages.tokens.scorer_tokens import load_scorer_tokenizer, scorer_tokens
from stages.tokens.token_texts import CUT
from stages.tokens.tokenizer import load_tokenizer

PAPERS_LM = "EleutherAI/pythia-1.4b-deduped"
SAMPLE_CHUNKS = 4096


def tokenizer_beside(name: str, directory: Path, tokenizer: Path, chunks: Path) -> Path:
    """The tokenizer.json that goes beside the weights: the corpus's if the model's does the same, so that it
    scores tokens, else its own.

    Its own is tried on `SAMPLE_CHUNKS` chunks first: it must give their text back, and the corpus's must give
    the bytes of a chunk.

    Raises:
        Failure: (exit code 2) if the model has none, (3) if it, or the corpus's, loses text.
    """
    theirs = directory / "tokenizer.json"
    if not theirs.is_file():
        raise Failure(
            f"{name} has no tokenizer.json",
            "it could not read the corpus",
            "choose another model",
            Exit.USAGE,
        )
    other, ours = load_scorer_tokenizer(directory), load_tokenizer(tokenizer)
    if other.to_str() == ours.to_str():
        # equal in what it does, but scoring compares bytes, and the file may be laid out differently
        return tokenizer / "tokenizer.json"
    bytes_of_tokens(ours)
    scorer_tokens(other, [text.replace(CUT, "") for text in _sample(chunks)])
    return theirs


def _sample(chunks: Path) -> list[str]:
    artifact = open_artifact(CHUNKS, chunks)
    return (
        artifact.read(next(iter(artifact.shards)), ["text"])
        .column("text")
        .slice(0, SAMPLE_CHUNKS)
        .to_pylist()
    )


def in_words(beside: Path, tokenizer: Path) -> str:
    """How a model with this tokenizer.json scores a corpus with that tokenizer."""
    return "" if beside.parent == tokenizer else ", which has a tokenizer of its own and scores text"


def check_sizes(name: str, directory: Path, window: int, vocabulary: int) -> None:
    """Refuses a model that takes too short prompts or knows too few tokens.

    Raises:
        Failure: (exit code 2) for that, or if its configuration is not computed here.
    """
    config = config_of(name, directory)
    if config.longest_prompt < window or config.vocab_size < vocabulary:
        takes = f"it takes prompts of {config.longest_prompt} tokens from {config.vocab_size}"
        raise unfit(name, f"{takes}, {window} from {vocabulary} are needed")


def config_of(name: str, directory: Path) -> DecoderConfig:
    """The sizes of a model; raises like `check_sizes`."""
    try:
        return read_config(directory)
    except (FileNotFoundError, ValueError) as error:
        raise unfit(name, str(error)) from error


def unfit(name: str, cause: str) -> Failure:
    """What is said of a model that cannot be the reference LM."""
    return Failure(
        f"{name} cannot be the reference LM",
        cause,
        f"choose one of {', '.join(ARCHITECTURES)}, such as {PAPERS_LM}",
        Exit.USAGE,
    )
