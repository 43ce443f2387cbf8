"""Short tales, each about two people of its own, so that a passage of a tale says who a question of it leaves
out.
"""

from __future__ import annotations

import numpy as np

PEOPLE = ["Anna Bell", "Boris", "Clara", "Dorian", "Edith", "Felix", "Greta", "Hugo"]
DID = [
    "walked slowly with",
    "went home to see",
    "often wrote to",
    "never liked",
    "would not wait for",
    "was glad to meet",
]
WHERE = ["by the river", "in the old house", "near the mill", "under the trees", "at the market"]


def tale(people: list[str], sentences: int, seed: int) -> str:
    """So many sentences about some people."""
    rng = np.random.default_rng(seed)
    return " ".join(
        f"Then he {rng.choice(DID)} {rng.choice(people)} {rng.choice(WHERE)} and left."
        for _ in range(sentences)
    )


TALES = {f"tale{number}": tale(PEOPLE[2 * number : 2 * number + 2], 80, number) for number in range(4)}


SYLLABLES = ["ba", "du", "ki", "lo", "me", "nu", "po", "ra", "si", "tu", "ve", "wo", "za", "ge", "fi"]


def places(count: int, seed: int) -> dict[str, str]:
    """Tales about `count` places with names of their own, each told twice far apart: a place says who was
    there, and nothing else does.

    There are too many places to learn by heart in a few hundred updates, so that reading pays.
    """
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys("".join(rng.choice(SYLLABLES, 4)) for _ in range(2 * count)))[:count]
    told = {}
    for number in range(count // 20):
        halves: tuple[list[str], list[str]] = ([], [])
        for name in names[20 * number : 20 * number + 20]:
            person = rng.choice(PEOPLE)
            for half in (*halves, *halves):
                half.append(f"Then the {name} {rng.choice(DID)} {person} of the {name} and left.")
        told[f"places{number:02}"] = " ".join([*halves[0], *halves[1]])
    return told
