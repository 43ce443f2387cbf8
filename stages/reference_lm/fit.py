"""Whether a finished model can be a corpus's reference LM: the same tokens, and prompts long enough."""

from __future__ import annotations

from pathlib import Path

from data_contracts.failure import Exit, Failure
from model.decoder_config import ARCHITECTURES, DecoderConfig, read_config
from stages.tokens.tokenizer import load_tokenizer

PAPERS_LM = "EleutherAI/pythia-1.4b-deduped"


def check_tokenizer(name: str, directory: Path, tokenizer: Path, remedy: str) -> None:
    """Refuses a model whose tokenizer.json is missing or does something else than the corpus's.

    Raises:
        Failure: (exit code 2) if it is missing, (3) if it is another.
    """
    if not (directory / "tokenizer.json").is_file():
        raise Failure(
            f"{name} has no tokenizer.json", "its tokens cannot be compared with the corpus's", "choose another model", Exit.USAGE
        )
    if load_tokenizer(directory).to_str() != load_tokenizer(tokenizer).to_str():
        cause = "its tokenizer differs from the corpus's, so it would score other text than the chunks"
        raise Failure(f"{name} does not fit the tokens", cause, remedy, Exit.CONTRACT)


def check_sizes(name: str, directory: Path, window: int, vocabulary: int) -> None:
    """Refuses a model that takes too short prompts or knows too few tokens.

    Raises:
        Failure: (exit code 2) for that, or if its configuration is not computed here.
    """
    config = config_of(name, directory)
    if config.longest_prompt < window or config.vocab_size < vocabulary:
        takes = f"it takes prompts of {config.longest_prompt} tokens from {config.vocab_size}"
        raise unfit(name, f"{takes}, the corpus needs {window} from {vocabulary}")


def config_of(name: str, directory: Path) -> DecoderConfig:
    """The sizes of a model; raises like `check_sizes`."""
    try:
        return read_config(directory)
    except (FileNotFoundError, ValueError) as error:
        raise unfit(name, str(error)) from error


def unfit(name: str, cause: str) -> Failure:
    """What is said of a model that cannot be the reference LM."""
    return Failure(
        f"{name} cannot be the reference LM", cause, f"choose one of {', '.join(ARCHITECTURES)}, such as {PAPERS_LM}", Exit.USAGE
    )
