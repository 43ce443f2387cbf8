"""Near duplicates are found, and nothing else is called one."""

import numpy as np

from reports.metrics.near_duplicates import near_duplicates


def similar(one, other) -> float:
    grams = [
        {tuple(row[place : place + 5]) for place in range(len(row) - 4)}
        for row in (one.tolist(), other.tolist())
    ]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def test_texts_that_share_most_of_their_grams_are_near_duplicates():
    rng = np.random.default_rng(0)
    database = rng.integers(0, 1000, (2000, 64))
    texts = database[:300].copy()
    for row, changes in zip(texts, np.arange(300) % 6, strict=True):
        row[rng.choice(64, changes, replace=False)] = 2000
    expected = np.array([similar(text, known) >= 0.8 for text, known in zip(texts, database, strict=False)])
    assert 60 < expected.sum() < 240
    found = near_duplicates(texts, database)
    assert not found[~expected].any(), "nothing that is none"
    assert found[expected].mean() > 0.95
    assert not near_duplicates(rng.integers(0, 1000, (300, 64)), database).any()
    assert near_duplicates(texts[:3], database[:0]).tolist() == [False] * 3


def test_a_text_that_stands_there_a_thousand_times_is_compared_once():
    again = np.repeat(np.arange(64)[None], 1000, axis=0)
    assert near_duplicates(again[:1] + 0, again).tolist() == [True]
