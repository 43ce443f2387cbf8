"""XLA in a hurry, in this process and in those that tests start; to be imported before JAX computes anything.

A training step of RPT compiles in a sixth of the time and runs half as fast, the better bargain for a program
that runs a few times. One that runs long is compiled with `OPTIMISED` as its compiler_options. Every program
is kept where JAX keeps any, as most of thousands are small and take longer to compile than to read.
"""

import os

FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
OPTIMISED = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
    "xla_cpu_use_fusion_emitters": True,
    "xla_cpu_parallel_codegen_split_count": 32,
}

os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["XLA_FLAGS"] = " ".join((*FLAGS, os.environ.get("XLA_FLAGS", "")))
