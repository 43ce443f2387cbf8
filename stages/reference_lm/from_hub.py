"""A reference LM from the Hugging Face hub, such as the paper's Pythia-1.4B-deduped (section 4), pinned to a
commit.

Only config.json, tokenizer.json and safetensors are fetched, none of which can run code. What is small is
fetched and judged first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from data_contracts.failure import Exit, Failure
from model.decoder_config import DecoderConfig
from model.gpt_neox_config import PYTHIA_1_4B
from model.hugging_face_files import INDEX, SINGLE, named_weights
from stages.hub import SMALL_FILES, WEIGHTS, snapshot
from stages.parameters import ReferenceLM
from stages.reference_lm.fit import PAPERS_LM, check_sizes, config_of, in_words, tokenizer_beside, unfit
from stages.tokens.scorer_tokens import load_scorer_tokenizer
from stages.tokens.tokenizer import vocabulary_size

SECTION = "reference_lm"


def hub_config(reference_lm: ReferenceLM) -> DecoderConfig:
    """The sizes of a model of the hub: of the paper's they are known, of others the hub is asked for
    config.json.

    Raises:
        Failure: (exit code 5) if the hub cannot be reached; (2) if it is of no known family.
    """
    name, revision = reference_lm.name, reference_lm.revision
    if name == PAPERS_LM:
        return PYTHIA_1_4B
    assert revision, "stages/parameters refuses a hub without one"
    return config_of(name, snapshot(name, revision, SMALL_FILES, SECTION))


def fetch_reference_lm(
    reference_lm: ReferenceLM, tokenizer: Path, chunks: Path, window: int, target: Path
) -> str:
    """Copies the model into `target`, as `tokenizer_beside` says with which tokenizer, and returns its name
    and commit.

    Args:
        reference_lm: its `name` and `revision` say which.
        tokenizer: the corpus's tokenizer, a directory.
        chunks: the corpus's chunks, on which another tokenizer is tried.
        window: tokens that the model must take at once.
        target: an existing directory.

    Raises:
        Failure: if the model cannot be used (exit code 2), its tokenizer loses text of the corpus (3), or the
            hub cannot be reached (5); the weights are not downloaded then.
    """
    name, revision = reference_lm.name, reference_lm.revision
    assert revision, "stages/parameters refuses a hub without one"
    directory = snapshot(name, revision, [*SMALL_FILES, INDEX], SECTION)
    beside = tokenizer_beside(name, directory, tokenizer, chunks)
    check_sizes(name, directory, window, vocabulary_size(load_scorer_tokenizer(beside.parent)))
    index = [directory / INDEX] if (directory / INDEX).is_file() else []
    # The hub's cache holds links into a store of its own, which may be cleared.
    for file in (directory / "config.json", *index, *_weights(name, revision, directory)):
        shutil.copyfile(file, target / file.name)
    shutil.copyfile(beside, target / "tokenizer.json")
    return f"{name} at commit {revision}{in_words(beside, tokenizer)}"


def _weights(name: str, revision: str, directory: Path) -> list[Path]:
    """The files that the index names, or `model.safetensors`, or shards without an index; some repositories
    hold the weights twice.
    """
    try:
        named = sorted(named_weights(directory))
    except ValueError as error:
        raise unfit(name, str(error)) from error
    for patterns in (named or [SINGLE], WEIGHTS):
        place = snapshot(name, revision, patterns, SECTION)
        if files := sorted(file for pattern in patterns for file in place.glob(pattern)):
            return files
    remedy = (
        "choose a commit that has model.safetensors, or convert it with transformers: save_pretrained(...,"
        " safe_serialization=True)"
    )
    cause = "pickled weights (.bin) can run code and are never opened"
    raise Failure(f"{name} at {revision[:12]} has no .safetensors", cause, remedy, Exit.USAGE)
