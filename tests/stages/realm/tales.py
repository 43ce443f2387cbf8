"""Short tales, each about two people of its own, so that a passage of a tale says who a question of it leaves out."""

from __future__ import annotations

import numpy as np

PEOPLE = ["Anna Bell", "Boris", "Clara", "Dorian", "Edith", "Felix", "Greta", "Hugo"]
DID = ["walked slowly with", "went home to see", "often wrote to", "never liked", "would not wait for", "was glad to meet"]
WHERE = ["by the river", "in the old house", "near the mill", "under the trees", "at the market"]


def tale(people: list[str], sentences: int, seed: int) -> str:
    """So many sentences about some people."""
    rng = np.random.default_rng(seed)
    return " ".join(f"Then he {rng.choice(DID)} {rng.choice(people)} {rng.choice(WHERE)} and left." for _ in range(sentences))


TALES = {f"tale{number}": tale(PEOPLE[2 * number : 2 * number + 2], 80, number) for number in range(4)}
