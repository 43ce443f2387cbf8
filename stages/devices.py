"""What accelerators could compute at best, by their vendors' published figures, and how JAX names them."""

from __future__ import annotations

from stages.parameters import Device

# Operations a second of one device, dense, SXM where there are several forms; float16 and bfloat16 are the
# same. NVIDIA's data sheets of A100, H100 and H200; TPU v4: Jouppi et al. 2023, arXiv 2304.01433, table 4;
# v5e and v5p: cloud.google.com/tpu/docs. TPUs have no float32 product: XLA makes it of six in bfloat16 at the
# precision that scoring asks for.
PEAK_FLOPS: dict[Device, dict[str, float]] = {
    "A100": {"float16": 312e12, "float32": 19.5e12},
    "H100": {"float16": 989e12, "float32": 67e12},
    "H200": {"float16": 989e12, "float32": 67e12},
    "TPUv4": {"float16": 275e12, "float32": 275e12 / 6},
    "TPUv5e": {"float16": 197e12, "float32": 197e12 / 6},
    "TPUv5p": {"float16": 459e12, "float32": 459e12 / 6},
}
# The same for float32 at JAX's default precision, at which training runs: TensorFloat-32 on GPUs, one
# bfloat16 product on TPUs.
DEFAULT_FLOAT32_FLOPS: dict[Device, float] = {
    "A100": 156e12,
    "H100": 494.5e12,
    "H200": 494.5e12,
    "TPUv4": 275e12,
    "TPUv5e": 197e12,
    "TPUv5p": 459e12,
}
# Whole names only: a PCIe card, a slice of a card or a later chip has another peak.
DEVICE_OF_KIND: dict[str, Device] = {
    "NVIDIA A100-SXM4-40GB": "A100",
    "NVIDIA A100-SXM4-80GB": "A100",
    "NVIDIA A100-PCIE-40GB": "A100",
    "NVIDIA A100 80GB PCIe": "A100",
    "NVIDIA H100 80GB HBM3": "H100",
    "NVIDIA H200": "H200",
    "TPU v4": "TPUv4",
    "TPU v5 lite": "TPUv5e",
    "TPU v5e": "TPUv5e",
    "TPU v5": "TPUv5p",
    "TPU v5p": "TPUv5p",
}


def training_peak(device_kind: str, dtype: str) -> float | None:
    """Operations a second that training in `dtype` (float32 or bfloat16) could reach on one device, or None
    if that is not known.

    `device_kind` is JAX's, `jax.devices()[0].device_kind`; of a CPU no peak is known.
    """
    device = DEVICE_OF_KIND.get(device_kind)
    if device is None:
        return None
    return DEFAULT_FLOAT32_FLOPS[device] if dtype == "float32" else PEAK_FLOPS[device]["float16"]
