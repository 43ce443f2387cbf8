from dataclasses import replace

import pytest

from model.config import ModelConfig


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 18}, "width 18 is not a multiple of 2 \\* heads = 4"),
        ({"cca_layers": (2, 3)}, "distinct layers of the upper decoder, 3 to 4: remove \\[2\\]"),
        ({"cca_layers": (3, 5)}, "remove \\[5\\]"),
        ({"cca_layers": (3, 3)}, "the repeated ones"),
        ({"layers": 1, "cca_layers": ()}, "layers is 1, must be at least 2"),
        ({"chunk_tokens": 1}, "chunk_tokens is 1"),
        ({"stride_chunks": 0}, "stride_chunks is 0, must be at least 1"),
        ({"neighbours": 0}, "neighbours is 0"),
        ({"gate_window": 0}, "gate_window is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_impossible_configs_are_refused(small: ModelConfig, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(small, **change)


def test_a_sequence_is_a_whole_number_of_strides(small: ModelConfig) -> None:
    assert small.chunks_of(24) == 6
    for tokens in (0, 12, 23):
        with pytest.raises(ValueError, match=f"{tokens} tokens, not a positive multiple of the stride of 8"):
            small.chunks_of(tokens)
