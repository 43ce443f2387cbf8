"""Changes of params.yaml as values, in words of one line."""

import pytest

from flows.parameter_changes import ABSENT, changed_values, sentence


def test_only_leaves_that_differ_are_named_with_both_values():
    before = {
        "scoring": {"candidates": 8, "engine": "jax", "gone": 1},
        "recipes": {"rpt": {"layers": [2, 3]}},
    }
    after = {
        "scoring": {"candidates": 12, "engine": "jax", "fresh": None},
        "recipes": {"rpt": {"layers": [2]}},
    }
    assert changed_values(before, after) == {
        "scoring.candidates": (8, 12),
        "scoring.fresh": (ABSENT, None),
        "recipes.rpt.layers": ([2, 3], [2]),
        "scoring.gone": (1, ABSENT),
    }
    assert changed_values(before, before) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((8, 12), "a.b 8 -> 12"),
        ((True, None), "a.b true -> null"),
        ((0.5, ABSENT), "a.b 0.5 -> not set"),
        (("texts/*.txt", "two words"), "a.b texts/*.txt -> two words"),
        (("a\nb\x1b[31m", [1, 2]), r'a.b "a\nb\u001b[31m" -> [1, 2]'),
        (("x" * 99, {}), f"a.b {'x' * 39}\N{HORIZONTAL ELLIPSIS} -> {{}}"),
    ],
)
def test_a_change_is_one_line_in_which_nothing_acts(change, said):
    assert sentence("a.b", change) == said
