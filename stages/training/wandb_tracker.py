"""Figures of a run for Weights & Biases, in its files below `.run/wandb/`: nothing leaves this machine before
`wandb sync` is called, unless WANDB_MODE says otherwise.

The only module that imports wandb, which belongs to no environment but that of the tests: its 0.31 needs a
beta of a package whose source is not public.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from data_contracts.failure import Exit, Failure

QUIET = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
CACHE = "WANDB_CACHE_DIR"  # of its logs


def check_installed(project: str) -> None:
    """Refuse to begin without wandb.

    Raises:
        Failure: (exit code 5) if it is not installed.
    """
    if importlib.util.find_spec("wandb") is None:
        raise Failure(
            f"runtime.wandb_project is {project}",
            "wandb is not installed",
            "infra/install.sh .venv/bin/python requirements-wandb.txt",
            Exit.ENVIRONMENT,
        )


class WandbTracker:
    """One session of a run, in the group of that name; its figures lie over the step of training.

    Raises:
        Failure: as `check_installed` states.
    """

    def __init__(self, project: str, run: str, first: int, place: Path) -> None:
        for name, value in {**QUIET, CACHE: str(place.resolve() / "wandb" / "cache")}.items():
            os.environ.setdefault(name, value)
        check_installed(project)
        import wandb

        # figures alone: no code, command line, packages, state of git, or what the terminal shows
        settings = wandb.Settings(
            root_dir=str(place.resolve()),
            host="here",
            console="off",
            silent=True,
            disable_code=True,
            disable_git=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        place.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(project=project, group=run, name=f"{run} from {first}", settings=settings)
        self._run.define_metric("*", step_metric="step")
        self._teardown = wandb.teardown

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the figures of a step."""
        self._run.log({**values, "step": step})

    def close(self) -> None:
        """Write what is left, and wait for W&B's own process to have done so."""
        self._run.finish()
        self._teardown()
