"""Targets are read as people write them, and what is not known is said with what is."""

import pytest

from data_contracts.failure import Exit, Failure
from stages.fits.cards import CARDS, description
from stages.fits.chips import CHIPS, read_target


@pytest.mark.parametrize(
    ("text", "chips", "topology"),
    [
        ("v4:2x4x4", 32, {"platform": "tpu", "topology_name": "v4:2x4x4", "chip_config_name": "megacore"}),
        ("v5e:4x4", 16, {"platform": "tpu", "topology_name": "v5e:4x4"}),
        ("v5e:1x1", 1, {"platform": "tpu", "topology_name": "v5e:1x1", "chips_per_host_bounds": [1, 1, 1]}),
        ("tpu7x:2x2x1", 4, {"platform": "tpu", "topology_name": "tpu7x:2x2x1"}),
        ("h200:8", 8, {"platform": "cuda", "topology": "1x1x8"}),
    ],
)
def test_a_target_is_read(text, chips, topology):
    target = read_target(text)
    assert (target.name, target.chips, target.topology()) == (text, chips, topology)


def test_every_example_is_a_target():
    for chip in CHIPS.values():
        for example in chip.examples:
            assert read_target(f"{chip.name}:{example}").chip == chip


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        ("v9:2x2", "'v9' is not a chip that is known", "v4:4x4x4"),
        ("h100", "'' is no layout of h100, which is a number of cards", "h100:8"),
        ("v4:2x2", "'2x2' is no layout of v4, which is 3 numbers with an x between", "v4:2x2x1"),
        ("v5e:4by4", "'4by4' is no layout of v5e", "v5e:4x4"),
        ("v5e:0x4", "'0x4' is no layout", "v5e:4x4"),
        ("h200:16", "16 cards are more than the 8 of one machine", "at most h200:8"),
    ],
)
def test_what_is_not_known_is_said_with_what_is(text, cause, remedy):
    with pytest.raises(Failure) as caught:
        read_target(text)
    assert caught.value.code == Exit.USAGE
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy


def test_memory_of_a_card_is_the_share_of_it_that_jax_takes():
    for name in CARDS:
        assert f"device_memory_size: {round(CHIPS[name].memory_bytes / 0.75)}\n" in description(name)
