"""Checkpoints of a training run: written while it goes on, read back only if every byte is as it was written.

Orbax writes the arrays and renames their directory when it is whole; then come the losses up to that step,
what it was computed on and, last, a manifest with the SHA-256 of every file. Orbax is imported at the first
use, because that takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax

from data_contracts.failure import Exit, Failure
from stages.runner.interruption import Interruption
from stages.runner.resumption import COMPUTED_ON, computed_on

KEEP = 2
RECENT = 50  # steps whose mean loss says which checkpoint is best
MANIFEST, LOSSES = "manifest.json", "losses.jsonl"
NUMBERED, UNFINISHED = "[0-9]" * 8, "*.orbax-checkpoint-tmp*"


class Restored(NamedTuple):
    """The number of steps done, the state after them, and a row of losses for each."""

    step: int
    state: Any
    history: list[dict]


class Checkpoints:
    """The newest `KEEP` checkpoints of one run and the best, in `directory`; `say` is told in a sentence why
    one is set aside.

    The best has the lowest training loss over the steps before it: where a run that went astray can be begun
    again, once the newer ones are deleted.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]):
        self._directory = directory.resolve()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._say = say
        self._worker = ThreadPoolExecutor(1)
        self._sealing: Future[None] | None = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown()

    @cached_property
    def _orbax(self) -> Any:
        from orbax.checkpoint import AsyncOptions, StandardCheckpointer

        # Made in the background, a directory that cannot be made would be noticed only after minutes.
        return StandardCheckpointer(async_options=AsyncOptions(create_directories_asynchronously=False))

    def save(self, step: int, state: Any, history: Sequence[Mapping]) -> None:
        """Copy `state`, a tree of arrays, to the host and write it in the background; waits for the
        checkpoint before.

        Raises:
            Failure: (exit code 5) if this or the checkpoint before could not be written.
        """
        self.wait()
        place = self._directory / f"{step:08d}"
        with _explained(place):
            self._orbax.save(place, _by_name(state), force=True)
        shapes = {name: tuple(array.shape) for name, array in _by_name(state).items()}
        self._sealing = self._worker.submit(self._seal, place, jsonl(history), shapes)

    def wait(self) -> None:
        """Return when what was saved is whole on disk. Raises like `save`."""
        if self._sealing:
            self._sealing.result()
            self._sealing = None

    def restore(self, like: Any) -> Restored | None:
        """The newest whole checkpoint, with the arrays placed as those of `like` are; None if there is none.

        One that is not whole is renamed to *.damaged and said.

        Raises:
            Failure: (exit code 3) if it is whole and of another model; it is renamed to *.misfit, so that the
                next run begins without.
        """
        for unfinished in self._directory.glob(UNFINISHED):
            shutil.rmtree(unfinished)
        for place in reversed(self._numbered()):
            if damage := damage_of(place) or (
                "" if self._stored(place) is not None else "Orbax cannot read what it holds"
            ):
                aside = place.with_suffix(".damaged")
                shutil.rmtree(aside, ignore_errors=True)
                place.rename(aside)
                self._say(f"the checkpoint of step {int(place.name)} is set aside: {damage}")
                continue
            shapes = jax.tree.map(
                lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding), like
            )
            if misfit := self._misfit(place, _by_name(shapes)):
                place.rename(place.with_suffix(".misfit"))
                what = f"the checkpoint of step {int(place.name)} does not fit the model as its code is now"
                raise Failure(
                    what,
                    misfit,
                    "run again to begin without it, or bring back the code that it was made with",
                    Exit.CONTRACT,
                )
            if (before := _noted(place)) != (now := computed_on()):
                self._say(
                    f"the checkpoint of step {int(place.name)} was computed on {before}, the rest is on"
                    f" {now}: last bits may differ"
                )
            arrays = self._orbax.restore(place, _by_name(shapes))
            state = jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in _by_name(shapes)])
            return Restored(
                int(place.name),
                state,
                [json.loads(line) for line in (place / LOSSES).read_text().splitlines()],
            )
        return None

    def _misfit(self, place: Path, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> str:
        """An array that a checkpoint has of another size than is asked for, or lacks, or has too many; empty
        if there is none.
        """
        stored, wanted = (
            self._stored(place) or {},
            {name: tuple(array.shape) for name, array in shapes.items()},
        )
        wrong = sorted(name for name in {*stored, *wanted} if stored.get(name) != wanted.get(name))
        return (
            f"{wrong[0]} is {stored.get(wrong[0])} in it and {wanted.get(wrong[0])} here; {len(wrong)} differ"
            if wrong
            else ""
        )

    def _stored(self, place: Path) -> dict[str, tuple[int, ...]] | None:
        """The arrays that Orbax finds in a checkpoint, by their sizes; None if it finds none."""
        found = self._orbax.metadata(place).item_metadata
        return None if found is None else {name: tuple(array.shape) for name, array in found.tree.items()}

    def _seal(self, place: Path, losses: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        with _explained(place):
            self._orbax.wait_until_finished()
            if self._stored(place) != shapes:  # Orbax warns of some failures and goes on
                raise OSError("Orbax has written it, and does not find its arrays there")
            (place / LOSSES).write_text(losses)
            (place / COMPUTED_ON).write_text(computed_on())
            unnamed = place / f"{MANIFEST}.tmp"
            manifest = json.dumps({"files": _digests(place)}, indent=1)
            unnamed.write_text(manifest)
            unnamed.rename(place / MANIFEST)
        there = self._numbered()
        for old in {*there[:-KEEP]} - {min(there, key=_recent_loss)}:
            shutil.rmtree(old)

    def _numbered(self) -> list[Path]:
        return sorted(self._directory.glob(NUMBERED))


class Saver:
    """Saves every so many seconds, and when the work is asked to stop; for loops that ask after each step
    whether it is `due`.
    """

    def __init__(self, checkpoints: Checkpoints, seconds: float, interruption: Interruption) -> None:
        self._checkpoints, self._seconds, self._interruption = checkpoints, seconds, interruption
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self._interruption.asked or time.monotonic() - self._saved >= self._seconds

    def save(self, step: int, state: Any, history: Sequence[Mapping]) -> None:
        """Save in the background.

        Raises:
            Failure: as `Checkpoints.save` states.
            KeyboardInterrupt: when the work is to stop, with the checkpoint written.
        """
        self._checkpoints.save(step, state, history)
        self._saved = time.monotonic()
        if self._interruption.asked:
            self._checkpoints.wait()
            raise KeyboardInterrupt


def jsonl(rows: Sequence[Mapping]) -> str:
    """One line of JSON a row."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def _noted(place: Path) -> str:
    """What a checkpoint was computed on; older ones do not say."""
    return (place / COMPUTED_ON).read_text() if (place / COMPUTED_ON).exists() else "what it does not say"


def _recent_loss(place: Path) -> float:
    """Mean LM loss, or where there is none mean loss, of the last rows before a checkpoint; infinite if that
    cannot be read.
    """
    try:
        rows = [json.loads(line) for line in (place / LOSSES).read_text().splitlines()[-RECENT:]]
        return statistics.fmean(row["lm_loss"] if "lm_loss" in row else row["loss"] for row in rows)
    except (OSError, ValueError, KeyError):
        return math.inf


def _by_name(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _digests(place: Path) -> dict[str, str]:
    digests = {}
    for path in sorted(item for item in place.rglob("*") if item.is_file() and item != place / MANIFEST):
        with open(path, "rb") as file:
            digests[path.relative_to(place).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def damage_of(place: Path) -> str:
    """Why this checkpoint may not be used; empty if it is whole."""
    try:
        written = json.loads((place / MANIFEST).read_bytes())["files"]
    except FileNotFoundError:
        return f"it has no {MANIFEST}, so it was not finished"
    except (ValueError, KeyError, TypeError):
        return f"its {MANIFEST} is damaged"
    found = _digests(place)
    wrong = sorted(name for name in {*found, *written} if found.get(name) != written.get(name))
    return (
        f"{', '.join(wrong[:3])} {'is' if len(wrong) == 1 else 'are'} missing or not as written"
        if wrong
        else ""
    )


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        what, remedy = (
            f"the checkpoint of step {int(place.name)} could not be written",
            "make room on the disk and run again",
        )
        raise Failure(what, f"{type(error).__name__}: {error}"[:500], remedy, Exit.ENVIRONMENT) from error
