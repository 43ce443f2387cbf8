"""Scores with vLLM, on GPUs and, for tests, on its CPU build: prefixes are shared through vLLM's prefix
cache.

vLLM was built to generate. Three of its habits would spoil scores in silence, and are met here: a request for
prompt log-probabilities does not read the cache unless told to; rows of cached positions are uninitialised
memory; and a prompt of which more than the prefix is cached (the same query under another target) loses
scored rows. Blocks of the prefix's length prevent the last two, the guard in `_refused` finds them all the
same, and such prompts are scored again without the cache.
"""

from __future__ import annotations

import atexit
import os
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.decoder_config import read_config
from stages.engines.scoring_lm import (
    Pieces,
    Progress,
    candidate_major,
    check_pairs,
    check_pieces,
    identity_of,
    lengths,
)

PREFIX_TOKENS, SUFFIX_TOKENS, TARGET_TOKENS = 128, 128, 64
PROMPT_TOKENS = PREFIX_TOKENS + SUFFIX_TOKENS
BLOCK_TOKENS = PREFIX_TOKENS  # a cache hit covers whole blocks: all of the prefix or nothing
# most of a prefix of any length is whole blocks; vLLM on CPUs takes multiples of 32 only
PIECES_BLOCK_TOKENS = 32
LONGEST_PIECES = 4096  # tokens of a prompt of pieces; vLLM keeps room for the longest
TRUST_REMOTE_CODE = False
ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
CPU_CACHE_BYTES = 1 << 30


class VllmScoringLM:
    """A model directory as a `ScoringLM` in a vLLM engine of its own, which starts with the first pair and
    lives to `close`.

    vLLM promises no bits: it puts together whatever prompts are waiting, and on GPUs another batch is summed
    in another order. A pair's first score, as the ledger keeps it, is the one that counts.

    Args:
        directory: config.json, model.safetensors and tokenizer.json.
        dtype: float32, float16 or bfloat16; on GPUs float16 is the closest to float32 at full speed.
        window_pairs: prompts handed to vLLM at once; progress is reported after each window.

    Raises:
        FileNotFoundError, ValueError: if the directory is incomplete or not supported (see
        model/decoder_config.py).
    """

    def __init__(self, directory: Path, dtype: str = "float32", window_pairs: int = 4096):
        self.config = read_config(directory)
        os.environ.update(ENVIRONMENT)
        import vllm
        from vllm.platforms import current_platform

        self._identity = identity_of(directory, "vllm", vllm.__version__, current_platform.device_type, dtype)
        self.window_pairs = window_pairs
        self._directory, self._dtype = directory, dtype

    @cached_property
    def _llm(self) -> Any:
        return self._start(BLOCK_TOKENS, PROMPT_TOKENS)

    @cached_property
    def _llm_of_pieces(self) -> Any:
        return self._start(PIECES_BLOCK_TOKENS, self._longest_pieces)

    @property
    def _longest_pieces(self) -> int:
        return min(self.config.longest_prompt - 1, LONGEST_PIECES)

    def _start(self, block_tokens: int, longest: int) -> Any:
        import vllm
        from vllm.platforms import current_platform

        atexit.register(self.close)
        return vllm.LLM(
            model=str(self._directory),
            dtype=self._dtype,
            trust_remote_code=TRUST_REMOTE_CODE,
            load_format="safetensors",
            skip_tokenizer_init=True,
            enable_prefix_caching=True,
            block_size=block_tokens,
            max_model_len=longest + 1,  # vLLM always generates a token
            # A multiple of the suffix, so that none is cut; a CPU's cache holds the activations of fewer
            # tokens.
            max_num_batched_tokens=SUFFIX_TOKENS * (32 if current_platform.is_cpu() else 128),
            max_num_seqs=256,
            disable_log_stats=True,
            seed=0,
            # Compiling and measuring free memory take longer than a CPU test's scoring.
            enforce_eager=current_platform.is_cpu(),
            kv_cache_memory_bytes=CPU_CACHE_BYTES if current_platform.is_cpu() else None,
        )

    def identity(self) -> dict[str, str]:
        """See `ScoringLM.identity`."""
        return dict(self._identity)

    def close(self) -> None:
        """End vLLM's engine processes, if any have been started; one may abort the interpreter if it outlives
        it.
        """
        for name in ("_llm", "_llm_of_pieces"):
            if llm := self.__dict__.pop(name, None):
                llm.llm_engine.engine_core.shutdown()

    def score(
        self,
        prefixes_PT: np.ndarray,
        suffixes_ST: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """See `ScoringLM.score`.

        Raises:
            ValueError: if the input is not as `ScoringLM.score` states.
            RuntimeError: if vLLM returns no or non-finite scores for a prompt even without its cache.
        """
        if (prefixes_PT.shape[1:], suffixes_ST.shape[1:]) != ((PREFIX_TOKENS,), (SUFFIX_TOKENS,)):
            raise ValueError(
                f"prefixes {prefixes_PT.shape} and suffixes {suffixes_ST.shape} must have {PREFIX_TOKENS} and"
                f" {SUFFIX_TOKENS} tokens; for chunks of another length use the jax engine"
            )
        check_pairs(self.config, prefixes_PT, suffixes_ST, pairs_n2)
        order = candidate_major(pairs_n2)
        scores_n2 = np.empty((len(pairs_n2), 2), np.float32)
        for start, stop in pairwise([*range(0, len(order), self.window_pairs), len(order)]):
            at = order[start:stop]
            prompts = np.concatenate([prefixes_PT[pairs_n2[at, 0]], suffixes_ST[pairs_n2[at, 1]]], axis=1)
            logprobs = _target_logprobs(self._llm, [Prompt(prompt, TARGET_TOKENS) for prompt in prompts])
            scores_n2[at] = np.asarray(logprobs).reshape(len(at), 2, -1).sum(axis=-1)
            if progress:
                progress(stop, len(order))
        return scores_n2

    def score_pieces(self, pieces: Pieces, progress: Progress | None = None) -> np.ndarray:
        """See `ScoringLM.score_pieces`; of a prefix, whole blocks of `PIECES_BLOCK_TOKENS` are computed once.

        Raises:
            ValueError: if the input is not as `ScoringLM.score_pieces` states, or a prompt has more than
                `LONGEST_PIECES` tokens.
            RuntimeError: if vLLM returns no or non-finite scores for a prompt even without its cache.
        """
        check_pieces(self.config, pieces, self._longest_pieces)
        order = candidate_major(pieces.pairs_n2)
        order = order[lengths(pieces.targets)[pieces.pairs_n2[order, 1]] > 0]
        scores_n2 = np.zeros((len(pieces.pairs_n2), 2), np.float32)
        for start, stop in pairwise([*range(0, len(order), self.window_pairs), len(order)]):
            at = order[start:stop]
            logprobs = _target_logprobs(
                self._llm_of_pieces, [_prompt_of(pieces, *pair) for pair in pieces.pairs_n2[at]]
            )
            scores_n2[at] = [
                [values[: len(values) // 2].sum(), values[len(values) // 2 :].sum()] for values in logprobs
            ]
            if progress:
                progress(stop, len(order))
        return scores_n2


class Prompt(NamedTuple):
    """Tokens of which the last `targets` are scored."""

    tokens: np.ndarray
    targets: int

    @property
    def first_scored_row(self) -> int:
        """Row r predicts token r + 1."""
        return len(self.tokens) - self.targets - 1


def _prompt_of(pieces: Pieces, prefix: int, suffix: int) -> Prompt:
    target = pieces.targets[suffix]
    return Prompt(np.concatenate([pieces.prefixes[prefix], pieces.queries[suffix], target]), len(target))


def _target_logprobs(llm: Any, prompts: list[Prompt]) -> list[np.ndarray]:
    """Log-probabilities of the scored tokens of each prompt, float32."""
    outputs = _generate(llm, prompts, skip_cache=False)
    spoilt = [row for row, output in enumerate(outputs) if _refused(output, prompts[row])]
    if spoilt:
        for row, output in zip(
            spoilt, _generate(llm, [prompts[row] for row in spoilt], skip_cache=True), strict=True
        ):
            outputs[row] = output
    logprobs = list[np.ndarray]()
    for row, (output, prompt) in enumerate(zip(outputs, prompts, strict=True)):
        values = _read(output, prompt)
        if _refused(output, prompt) or values is None or not np.isfinite(values).all():
            raise RuntimeError(
                f"vLLM gave {'no' if values is None else 'non-finite'} log-probabilities for prompt {row} of"
                f" {len(prompts)} with {output.num_cached_tokens} tokens from its cache; use dtype float32 or"
                " the jax engine"
            )
        logprobs.append(values)
    return logprobs


def _generate(llm: Any, prompts: list[Prompt], skip_cache: bool) -> list[Any]:
    requests = [{"prompt_token_ids": prompt.tokens.tolist()} for prompt in prompts]
    scores_given_tokens = bool(llm.llm_engine.vllm_config.use_v2_model_runner)
    parameters = [_parameters(prompt, scores_given_tokens, skip_cache) for prompt in prompts]
    return llm.generate(requests, parameters, use_tqdm=False)


def _parameters(prompt: Prompt, scores_given_tokens: bool, skip_cache: bool) -> Any:
    """How to ask for the target's log-probabilities.

    The newer model runner scores given tokens at given rows, so the vocabulary head sees those rows alone.
    The older one, alone on the CPU, returns every row it computed.
    """
    from vllm import SamplingParams

    if scores_given_tokens:
        target = np.ascontiguousarray(prompt.tokens[-prompt.targets :, None], np.int32)
        asked = {"prompt_logprob_token_ids": target, "prompt_logprob_start": prompt.first_scored_row}
    else:
        asked = {"prompt_logprobs": 0, "flat_logprobs": True}
    return SamplingParams(
        max_tokens=1, temperature=0.0, detokenize=False, skip_reading_prefix_cache=skip_cache, **asked
    )


def _refused(output: Any, prompt: Prompt) -> bool:
    """Whether scored rows may be missing or uninitialised, because their positions came from the cache."""
    return (output.num_cached_tokens or 0) > prompt.first_scored_row or _read(output, prompt) is None


def _read(output: Any, prompt: Prompt) -> np.ndarray | None:
    """Log-probabilities of the scored tokens, or None where vLLM dropped them. Counted from the end: the
    first token has none.
    """
    given = output.prompt_token_id_logprobs
    if given is not None:
        return np.asarray(given, np.float32)[:, 0]
    flat = output.prompt_logprobs
    if flat is None or len(flat) < prompt.targets:
        return None
    return np.asarray([flat.logprobs[first] for first in flat.start_indices[-prompt.targets :]], np.float32)
