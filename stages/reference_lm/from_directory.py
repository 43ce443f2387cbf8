"""A reference LM from a directory of this machine, pinned to what it holds, as `./rpt use-lm` names it."""

from __future__ import annotations

import shutil
from pathlib import Path

from data_contracts.failure import Exit, Failure
from model.decoder_config import DecoderConfig
from model.hugging_face_files import INDEX, digest, safetensors_files
from stages.parameters import ReferenceLM
from stages.reference_lm.fit import check_sizes, config_of, in_words, tokenizer_beside, unfit
from stages.tokens.scorer_tokens import load_scorer_tokenizer
from stages.tokens.tokenizer import vocabulary_size


def directory_config(reference_lm: ReferenceLM) -> DecoderConfig:
    """The sizes of the model; raises like `check_sizes`."""
    return config_of(reference_lm.name, Path(reference_lm.name))


def take_reference_lm(
    reference_lm: ReferenceLM, tokenizer: Path, chunks: Path, window: int, target: Path
) -> str:
    """Copies the model into `target`, as `tokenizer_beside` says with which tokenizer, and returns its name
    and digest.

    Args:
        reference_lm: its `name` is the directory, its `revision` the digest of what that holds.
        tokenizer: the corpus's tokenizer, a directory.
        chunks: the corpus's chunks, on which another tokenizer is tried.
        window: tokens that the model must take at once.
        target: an existing directory.

    Raises:
        Failure: if the directory holds something else than its digest says (exit code 3), the model cannot be
            used (2), or its tokenizer loses text of the corpus (3).
    """
    name, directory = reference_lm.name, Path(reference_lm.name)
    beside = tokenizer_beside(name, directory, tokenizer, chunks)
    check_sizes(name, directory, window, vocabulary_size(load_scorer_tokenizer(beside.parent)))
    try:
        found, weights = digest(directory), safetensors_files(directory)
    except (FileNotFoundError, ValueError) as error:
        raise unfit(name, str(error)) from error
    if found != reference_lm.revision:
        cause = f"it holds {found[:16]}..., reference_lm.revision is {(reference_lm.revision or 'null')[:16]}"
        raise Failure(
            f"{name} is not what was chosen",
            cause,
            f"`./rpt use-lm {name}` chooses what it holds now",
            Exit.CONTRACT,
        )
    index = [directory / INDEX] if (directory / INDEX).is_file() else []
    for file in (directory / "config.json", *index, *weights):
        shutil.copyfile(file, target / file.name)
    shutil.copyfile(beside, target / "tokenizer.json")
    return f"{name}, {found[:16]}{in_words(beside, tokenizer)}"
