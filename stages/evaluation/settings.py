"""The settings of an evaluation: which neighbours each takes from the rankings
(data_contracts/evaluations.py:SETTINGS).
"""

from __future__ import annotations

import numpy as np

from data_contracts.evaluations import BY_CHANCE, ORACLE, ORACLE_ALL, OWN, WITHOUT
from data_contracts.passages import RANDOM
from model.system import System
from stages.evaluation.rankings import Ranking, Rankings
from stages.training.passages import ORIGIN_OF

FIRST = {f"first_{count}": count for count in range(1, 5)}
NEAR = "training_length"


def settings_of(system: System, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the asked settings that a system has: without neighbours there is one; what reads a corpus has
    controls always, and of what is read by chance there is no first and no second."""
    if system.supervision == "corpus":
        ranked = set() if ORIGIN_OF[system.retriever] == RANDOM else {*asked} - {NEAR}
        return tuple(sorted({OWN, WITHOUT, BY_CHANCE} | ranked))
    return (OWN,) if system.retriever == "none" else tuple(sorted({OWN, *asked} - {BY_CHANCE}))


def computed(settings: tuple[str, ...], neighbours: int) -> dict[str, int]:
    """setting -> its row in the model's computation; `first_K` reads what `own` reads and shares its row."""
    rows = [setting for setting in settings if FIRST.get(setting) != neighbours]
    return {setting: rows.index(OWN if setting not in rows else setting) for setting in settings}


def slots_needed(settings: tuple[str, ...], neighbours: int) -> tuple[int, int]:
    """Most neighbours that a chunk has in one setting, and most different ones in all of them together."""
    slots = max([neighbours, *(FIRST[setting] for setting in settings if setting in FIRST)])
    of_ranking = max(slots, 2 if "second" in settings else 0)
    return slots, of_ranking + neighbours * len({NEAR, ORACLE, ORACLE_ALL, BY_CHANCE} & {*settings})


def ranking_of(setting: str, rankings: Rankings) -> Ranking:
    """The ranking from which a setting takes its neighbours."""
    return rankings.near if setting == NEAR else rankings.best


def neighbours_of(setting: str, rankings: Rankings, neighbours: int, slots: int) -> np.ndarray:
    """[C, N] what each chunk reads, in the order it reads them, -1 for none. What an oracle reads where it
    knows nothing is as `own`.
    """
    ids = ranking_of(setting, rankings).ids_CR
    begin, end = (
        (1, 2) if setting == "second" else (0, 0 if setting == WITHOUT else FIRST.get(setting, neighbours))
    )
    chosen = np.full((len(ids), slots), -1, np.int32)
    chosen[:, : end - begin] = ids[:, begin : min(end, begin + slots)]
    return chosen
