"""Which engine scores, and what a person is told when it cannot. No engine, nor JAX, is imported before it
has been chosen.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from data_contracts.failure import Exit, Failure

if TYPE_CHECKING:
    import numpy as np

    from stages.engines.scoring_lm import Pieces, Progress, ScoringLM

VLLM_CHUNK_TOKENS = 64


def cuda_gpus() -> int:
    """CUDA devices that this process may use, asked of the driver itself: neither JAX nor PyTorch has to be
    there.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def automatic_engine(chunk_tokens: int) -> tuple[str, str]:
    """What `scoring.engine: auto` is on this machine, and why."""
    if chunk_tokens != VLLM_CHUNK_TOKENS:
        return "jax", f"chunks have {chunk_tokens} tokens and vLLM scores {VLLM_CHUNK_TOKENS} only"
    if importlib.util.find_spec("vllm") is None:
        return "jax", "vLLM is not installed"
    gpus = cuda_gpus()
    return (
        ("vllm", f"vLLM is installed and there are {gpus} CUDA GPUs")
        if gpus
        else ("jax", "there is no CUDA GPU")
    )


@contextlib.contextmanager
def explained(name: str, directory: Path) -> Iterator[None]:
    """Turns what an engine or a model directory raises into a Failure; engines say `cause; remedy` in one
    sentence.

    Raises:
        Failure: (exit code 3) for a reference LM that cannot be used, (5) for a missing engine, (1) for an
            engine that broke down.
    """
    try:
        yield
    except ImportError as error:
        remedy = "install it (see README.md, Grow), or set scoring.engine to jax"
        raise Failure(
            f"the scoring engine {name} cannot be imported", str(error), remedy, Exit.ENVIRONMENT
        ) from error
    except (FileNotFoundError, ValueError, SafetensorError) as error:
        said, _, remedy = str(error).rpartition("; ")
        cause, remedy = (
            (said, remedy)
            if said
            else (str(error), "put a whole model directory there, or re-run reference_lm")
        )
        raise Failure(
            f"the reference LM in {directory} cannot score", cause, remedy, Exit.CONTRACT
        ) from error
    except RuntimeError as error:
        remedy = (
            "free memory and run again (scored pairs are kept), or set scoring.engine to"
            f" {'vllm' if name == 'jax' else 'jax'}"
        )
        raise Failure(
            f"the scoring engine {name} broke down",
            f"{type(error).__name__}: {error}",
            remedy,
            Exit.STAGE_FAILED,
        ) from error


class ExplainedEngine:
    """A `ScoringLM` whose errors are Failures."""

    def __init__(self, engine: ScoringLM, name: str, directory: Path):
        self._engine, self._name, self._directory = engine, name, directory

    def identity(self) -> dict[str, str]:
        """See `ScoringLM.identity`."""
        return self._engine.identity()

    def score(
        self,
        prefixes_PT: np.ndarray,
        suffixes_ST: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """See `ScoringLM.score`; raises as `explained` says."""
        with explained(self._name, self._directory):
            return self._engine.score(prefixes_PT, suffixes_ST, pairs_n2, progress)

    def score_pieces(self, pieces: Pieces, progress: Progress | None = None) -> np.ndarray:
        """See `ScoringLM.score_pieces`; raises as `explained` says."""
        with explained(self._name, self._directory):
            return self._engine.score_pieces(pieces, progress)


def make_engine(name: str, directory: Path, dtype: str = "float32") -> ScoringLM:
    """The engine `jax` or `vllm` for the reference LM in `directory`, computing in `dtype`; it loads weights
    with the first pair.

    Raises:
        Failure: (exit code 2) for any other name, `auto` too: what comes out must name what it came from;
            else as `explained` says.
    """
    if name not in ("jax", "vllm"):
        remedy = "start the stage with ./rpt run, which decides, or write vllm or jax into params.yaml"
        raise Failure(
            f"scoring.engine is {name!r}", "a stage needs to be told vllm or jax", remedy, Exit.USAGE
        )
    with explained(name, directory):
        return ExplainedEngine(_engine_class(name)(directory, dtype=dtype), name, directory)


def _engine_class(name: str) -> Callable[..., ScoringLM]:
    if name == "jax":
        from stages.engines.jax_engine import JaxScoringLM

        return JaxScoringLM
    from stages.engines.vllm_engine import VllmScoringLM

    return VllmScoringLM
