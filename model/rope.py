"""Rotary positions as configurations name them: which base, and how frequencies are stretched for longer
texts.

Su et al. 2021 (arXiv 2104.09864); linear stretching: Chen et al. 2023 (arXiv 2306.15595); llama3: as
`transformers` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.config_values import number

# What each kind must state beside its name.
KINDS = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}
SECTIONS = ("rope_parameters", "rope_scaling")


@dataclass(frozen=True)
class Rope:
    """Rotary settings; names as in `config.json`.

    Attributes:
        rope_type: default, linear or llama3.
        rope_theta: base of the frequencies.
        factor: how many times longer texts become. low_freq_factor, high_freq_factor: only for llama3; a wave
        that turns less often than `low_freq_factor` in the original length is stretched, one that turns more
        often than `high_freq_factor` is not, and between them both are mixed.
        original_max_position_embeddings: only for llama3, in tokens.
    """

    rope_type: str = "default"
    rope_theta: float = 10000.0
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: float = 8192

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Rope:
        """Reads a parsed `config.json`, with settings in the new (`rope_parameters`) or the old
        (`rope_scaling`, `rope_theta`) form.

        Raises:
            ValueError: if a setting is not known or not computed here, contradicts another, or is missing.
        """
        found = {cls._of(rope_settings(values, section), values.get("rope_theta")) for section in SECTIONS}
        stated = found - {cls._of({}, values.get("rope_theta"))}
        if len(stated) > 1:
            raise ValueError(
                f"config.json has {SECTIONS[0]} and {SECTIONS[1]} that contradict each other; take the one"
                " that belongs here"
            )
        return (stated or found).pop()

    @classmethod
    def _of(cls, settings: Mapping[str, Any], outer_theta: float | None) -> Rope:
        kind = settings.get("rope_type", "default")
        if kind not in KINDS:
            raise ValueError(
                f"config.json asks for rope_type {kind!r}, computed are {', '.join(KINDS)}; choose a model of"
                " one of these"
            )
        if unknown := sorted(settings.keys() - {"rope_type", "rope_theta", *KINDS[kind]}):
            raise ValueError(
                f"config.json has rope settings {unknown}, which {kind!r} does not use here; choose a model"
                " without them"
            )
        if missing := [name for name in KINDS[kind] if name not in settings]:
            raise ValueError(
                f"config.json lacks {', '.join(missing)} for rope_type {kind!r}; take the one that came with"
                " the weights"
            )
        thetas = {
            number("rope_theta", value)
            for value in (settings.get("rope_theta"), outer_theta)
            if value is not None
        }
        if len(thetas) > 1:
            raise ValueError(
                f"config.json has two values of rope_theta, {sorted(thetas)}; take the one that came with the"
                " weights"
            )
        numbers = {name: settings[name] for name in KINDS[kind]} | (
            {"rope_theta": thetas.pop()} if thetas else {}
        )
        return cls(kind, **{name: number(name, value) for name, value in numbers.items()})

    def frequencies(self, size: int) -> np.ndarray:
        """Radians a position for each of `size` / 2 pairs of dimensions, float32."""
        plain = self.rope_theta ** (-np.arange(0, size, 2) / size)
        if self.rope_type == "llama3":
            turns = self.original_max_position_embeddings * plain / (2 * np.pi)
            kept = np.clip(
                (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor), 0, 1
            )
            return (kept * plain + (1 - kept) * plain / self.factor).astype(np.float32)
        return (plain / self.factor).astype(np.float32)


def rope_settings(values: Mapping[str, Any], section: str) -> dict[str, Any]:
    """A section of rotary settings, empty if there is none, with `type`, the older spelling, as `rope_type`.

    Raises:
        ValueError: if it is no section, or both spellings stand there and differ.
    """
    settings = values.get(section) or {}
    if not isinstance(settings, Mapping):
        raise ValueError(
            f"config.json sets {section} = {settings!r}, which is no section; take the one that came with the"
            " weights"
        )
    kinds = {str(settings[name]) for name in ("type", "rope_type") if name in settings}
    if len(kinds) > 1:
        raise ValueError(
            f"config.json names two types in {section}, {' and '.join(sorted(kinds))}; take the one that"
            " belongs here"
        )
    rest = {name: value for name, value in settings.items() if name not in ("type", "rope_type")}
    return rest | ({"rope_type": kinds.pop()} if kinds else {})
