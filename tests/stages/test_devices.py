from typing import get_args

import jax
import pytest

from stages.devices import DEFAULT_FLOAT32_FLOPS, DEVICE_OF_KIND, PEAK_FLOPS, training_peak
from stages.parameters import Device, Runtime


def test_every_device_has_peaks_a_name_and_a_price():
    devices = set(get_args(Device))
    assert (
        set(PEAK_FLOPS)
        == set(DEFAULT_FLOAT32_FLOPS)
        == set(DEVICE_OF_KIND.values())
        == set(Runtime().prices)
        == devices
    )
    assert all(
        PEAK_FLOPS[name]["float32"] < DEFAULT_FLOAT32_FLOPS[name] <= PEAK_FLOPS[name]["float16"]
        for name in devices
    )


@pytest.mark.parametrize(
    ("kind", "dtype", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989e12),
        ("NVIDIA H100 80GB HBM3", "float32", 494.5e12),
        ("TPU v5 lite", "bfloat16", 197e12),
        ("NVIDIA H100 PCIe", "bfloat16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bfloat16", None),
    ],
)
def test_peaks_of_training(kind, dtype, peak):
    assert training_peak(kind, dtype) == peak


def test_a_cpu_has_no_known_peak():
    assert training_peak(jax.devices("cpu")[0].device_kind, "float32") is None
