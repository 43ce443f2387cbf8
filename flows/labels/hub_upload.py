"""A folder becomes a dataset of the Hugging Face Hub: what would be sent and deleted, and one commit that
does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from data_contracts.failure import Exit, Failure

KIND = "dataset"
KEPT = {".gitattributes"}  # the Hub's own
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Upload:
    """What makes a repository hold exactly a folder: files that are sent, with their bytes, and files of it
    that are deleted; `new` if there is no such repository yet.
    """

    sent: Sequence[tuple[str, int]]
    deleted: Sequence[str]
    new: bool


def plan(folder: Path, name: str) -> Upload:
    """What would be sent to dataset `name`, and what deleted there. Nothing changes.

    Raises:
        Failure: (exit code 5) if the Hub cannot be asked.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sent = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]

    def files_there() -> list[str] | None:
        try:
            return HfApi().list_repo_files(name, repo_type=KIND)
        except RepositoryNotFoundError:
            return None

    there = _asked(name, files_there)
    deleted = sorted(set(there or ()) - {file for file, _ in sent} - KEPT)
    return Upload(sent, deleted, new=there is None)


def as_lines(upload: Upload, name: str) -> list[str]:
    """A line a file, and the sum."""
    lines = [f"send    {size / 1e6:>9.2f} MB  {file}" for file, size in upload.sent]
    lines += [f"delete  {'':>9}     {file}" for file in upload.deleted]
    total = f"{len(upload.sent)} files, {sum(size for _, size in upload.sent) / 1e6:.1f} MB"
    return [*lines, f"{name}{', which is new' if upload.new else ''}: {total}, {len(upload.deleted)} deleted"]


def send(folder: Path, name: str, upload: Upload, private: bool) -> str:
    """Carry the upload out in one commit, and return its address.

    Raises:
        Failure: (exit code 5) if the Hub refuses it.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    if upload.new:
        _asked(name, lambda: api.create_repo(name, repo_type=KIND, private=private))
    added = [CommitOperationAdd(file, folder / file) for file, _ in upload.sent]
    deleted = [CommitOperationDelete(file) for file in upload.deleted]
    done = _asked(
        name,
        lambda: api.create_commit(name, [*added, *deleted], commit_message="Labels", repo_type=KIND),
    )
    return done.commit_url


def _asked(name: str, ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except Exception as error:  # the library raises errors of several others
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        remedy = "check the name and the network, and log in with `.venv/bin/hf auth login` or HF_TOKEN"
        raise Failure(f"dataset {name} of the Hub", cause, remedy, Exit.ENVIRONMENT) from error
