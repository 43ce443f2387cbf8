#!/bin/sh
# jax 0.10.2, seen 2026-11-30 on Linux x86-64, four simulated CPU devices.
#
# A good guess: `jax.shard_map` makes a function of what one device holds. An argument that every device has whole (`PartitionSpec()`), such
# as an embedding table, gets its gradient summed between devices at the border of that function: once, however the function uses it.
#
# Seen: where it is used in a loop (`lax.scan`, `lax.map`), the sum stands in the loop, so the whole gradient is exchanged in every round: 16
# all-reduces of the table for 16 rounds, here and in XLA's optimised program. The gradient is right, so nothing tells. Since arguments have
# types that say over which axes they vary, the use in the loop makes the table "varying" there, and the transpose of that is the sum. One line
# before the loop, `jax.lax.pcast(table, axis, to="varying")`, moves it out: one all-reduce.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=4 "$place/venv/bin/python" - <<'EOF'
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

ROUNDS = 16
mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
table = jax.random.normal(jax.random.key(0), (32, 8))
rows = jax.random.normal(jax.random.key(1), (4, ROUNDS, 8))


def loss(table: jax.Array, rows: jax.Array, outside: bool) -> jax.Array:
    def on_a_device(table: jax.Array, rows: jax.Array) -> jax.Array:
        if outside:
            table = jax.lax.pcast(table, "data", to="varying")
        return jax.lax.map(lambda row: jax.nn.logsumexp(row @ table.T), rows[0])[None]

    cut = PartitionSpec("data")
    return jnp.sum(jax.shard_map(on_a_device, mesh=mesh, in_specs=(PartitionSpec(), cut), out_specs=cut)(table, rows))


def tables_exchanged(outside: bool) -> tuple[int, jax.Array]:
    """All-reduces of a table in one call of the optimised program, those in the loop as often as it runs."""
    given = jax.device_put(table, NamedSharding(mesh, PartitionSpec())), jax.device_put(rows, NamedSharding(mesh, PartitionSpec("data")))
    program = jax.jit(jax.grad(partial(loss, outside=outside))).lower(*given).compile()
    found, inside = 0, False
    for line in program.as_text().splitlines():
        if line.endswith("{") and "(" in line:
            inside = "body" in line or "region" in line
        if re.search(r"f32\[(32,8|8,32)\].* all-reduce\(", line):
            found += ROUNDS if inside and "ENTRY" not in line else 1
    return found, program(*given)


in_loop, one = tables_exchanged(False)
once, other = tables_exchanged(True)
print(f"jax {jax.__version__}: {in_loop} all-reduces of the table's gradient in {ROUNDS} rounds; with pcast before the loop, {once}")
assert np.allclose(one, other, atol=1e-5)
assert in_loop == ROUNDS, "the sum does not stand in the loop any more"
assert once == 1, "pcast does not take it out"
EOF
