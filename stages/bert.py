"""A BERT, by name: a local directory or a model of the hub, pinned to what it holds. Dense retrievers begin
as one, keys are made by one.

Only config.json, tokenizer.json and safetensors are read, none of which can run code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from data_contracts.failure import Exit, Failure
from model.baselines.bert_config import BertConfig
from model.baselines.bert_files import load, read_config
from model.hugging_face_files import INDEX, digest
from model.parameters import Parameters
from stages.hub import SMALL_FILES, WEIGHTS, no_commit, snapshot

ON_HUB = r"\w[\w.-]*(/\w[\w.-]*)?"
COMMIT_DIGITS = 40


class BertModel(NamedTuple):
    """Where it lies, its sizes and the parameters of its encoder."""

    directory: Path
    config: BertConfig
    parameters: Parameters


def find_bert(name: str, revision: str | None, section: str) -> BertModel:
    """The model of that name and revision, which `section` of params.yaml says.

    Raises:
        Failure: (exit code 2) if `revision` is null or not that of the directory, or it is no BERT that is
            computed here; (5) if the hub cannot be reached.
    """
    local = Path(name).expanduser()
    try:
        directory = (
            _checked_directory(local, revision, section)
            if local.is_dir()
            else _of_hub(name, revision, section)
        )
        config = read_config(directory)
        if not (directory / "tokenizer.json").is_file():
            raise FileNotFoundError(f"{directory} has no tokenizer.json; copy that of these weights there")
        return BertModel(directory, config, load(directory, config))
    except (FileNotFoundError, ValueError) as error:
        remedy = f"set {section}.name to a BERT such as google-bert/bert-base-uncased"
        raise Failure(f"{name} cannot be the encoder", str(error), remedy, Exit.USAGE) from error


def _checked_directory(directory: Path, revision: str | None, section: str) -> Path:
    """The directory, if it holds what was pinned: nothing else says that another model lies there now."""
    found = digest(directory)
    if found != revision:
        cause = (
            f"{directory} holds {found[:12]}..., {section}.revision is"
            f" {'null' if revision is None else f'{revision[:12]}...'}"
        )
        raise Failure(
            "the directory is not pinned",
            cause,
            f"if it is the right one: ./rpt run -o {section}.revision={found}",
            Exit.USAGE,
        )
    return directory


def _of_hub(name: str, revision: str | None, section: str) -> Path:
    if not re.fullmatch(ON_HUB, name):
        raise FileNotFoundError(f"there is no directory {name}, and no model of the hub has such a name")
    if revision is not None and len(revision) != COMMIT_DIGITS:
        raise FileNotFoundError(
            f"there is no directory {name}, which {section}.revision pins: a commit has {COMMIT_DIGITS}"
            " digits"
        )
    if revision is None:
        raise no_commit(name, section, "what is made with it must be known")
    read_config(snapshot(name, revision, SMALL_FILES, section))
    return snapshot(name, revision, [*SMALL_FILES, INDEX, *WEIGHTS], section)
