"""NVIDIA cards as XLA's compiler wants them described, so that it compiles without one: sizes, a protobuf in
text form.

The numbers are those of openxla/xla, xla/backends/gpu/target_config/specs, files h100_sxm.txtpb and
h200.txtpb; the proto is stream_executor.GpuTargetConfigProto.
"""

from __future__ import annotations

HOPPER: dict[str, int | float] = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49_152,
    "shared_memory_per_core": 233_472,
    "shared_memory_per_block_optin": 232_448,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65_535,
    "block_dim_limit_z": 65_535,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
    "l2_cache_size": 52_428_800,
    "clock_rate_ghz": 1.98,
    "registers_per_core_limit": 65_536,
    "registers_per_block_limit": 65_536,
    "device_address_bits": 64,
    "pcie_bandwidth": 34_359_738_368,
}
CARDS = {
    "h100": (
        "NVIDIA H100 80GB HBM3",
        {"memory_bandwidth": 3_352_320_000_000, "device_memory_size": 84_942_979_072},
    ),
    "h200": (
        "NVIDIA H200 141GB HBM3e",
        {"memory_bandwidth": 4_800_000_000_000, "device_memory_size": 151_397_597_184},
    ),
}


def description(card: str) -> str:
    """The description of a card of `CARDS`."""
    name, memory = CARDS[card]
    numbers = "".join(f"  {field}: {value}\n" for field, value in (HOPPER | memory).items())
    return f"""gpu_device_info {{
{numbers}  cuda_compute_capability {{ major: 9 feature_extension: ACCELERATED_FEATURES }}
  device_vendor: "NVIDIA Corporation"
  name: "{name}"
  ecc_enabled: true
  driver_version: "13.0.0"
  runtime_version: "12.8.0"
  compile_time_toolkit_version: "12.8.0"
  dnn_version: "9.10.0"
  device_interconnect_info {{ active_links: 18 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "{name}"
"""
