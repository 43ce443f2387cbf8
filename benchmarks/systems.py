"""What a training step of every row of Table 2 costs relative to Transformer-XL, beside the paper's figure
and the operations.

All systems take turns on the same made-up sequences, at the paper's shape scaled down: 12 layers, as many
tokens a stride as the model is wide, eight strides a sequence, the paper's ratio of vocabulary to width, in
float32. The paper's times are of TPUv4 and, for Memorizing and Block-Recurrent, of other code, whose form is
`official`.
"""

from __future__ import annotations

import os
import statistics
from dataclasses import replace

from benchmarks.result import Bar, show
from benchmarks.training import measure
from model.registry import PAPER_CONFIG
from model.training_cost import step_flops

BASE = "transformer_xl"
PUBLISHED = {
    "retro": 1.35,
    "rpt_sem": 1.51,
    "memorizing_32k": 1.82,
    "memorizing_65k": 2.12,
    "block_recurrent": 1.56,
    "memorizing_32k_official": 1.82,
    "memorizing_65k_official": 2.12,
    "block_recurrent_official": 1.56,
    "griffin": 1.15,
}
CONFIG = replace(
    PAPER_CONFIG, vocabulary_size=12_544, width=256, stride_chunks=4, dtype="float32", remat=False
)
CHUNKS = 32
BARS = [Bar(f"{name}_x_{BASE}", time, at_most=True, wall_clock=True) for name, time in PUBLISHED.items()]


def main() -> None:
    """Measure and show."""
    load, names = os.getloadavg()[0], (BASE, *PUBLISHED)
    runs, recompiled = measure(CONFIG, CHUNKS, names)
    seconds = {name: statistics.median(runs[name].seconds) for name in names}
    flops = {name: step_flops(name, CONFIG, CHUNKS * CONFIG.chunk_tokens, 1) for name in names}
    figures = {f"{BASE}_step_s": seconds[BASE], "recompilations": float(recompiled)}
    for name, time in PUBLISHED.items():
        figures[f"{name}_x_{BASE}"] = seconds[name] / seconds[BASE]
        figures[f"{name}_operations_x_{BASE}"] = flops[name] / flops[BASE]
        figures[f"{name}_published"] = time
    show("systems", figures, BARS, load)


if __name__ == "__main__":
    main()
