"""The systems that compute something of their own: for tests that compile a training step, which the others would only repeat."""

from model.presets import SYSTEMS

VARIANTS = {
    "transformer_xl": ("transformer_xl_plus_2", "transformer_xl_longer", "transformer_xl_same_parameters", "transformer_xl_same_time"),
    "transformer_xl_carry": (),
    "memorizing_32k": ("memorizing_65k", "memorizing_32k_bucketed"),
    "block_recurrent": (),
    "transformer_xl_official": (),
    "memorizing_32k_official": ("memorizing_65k_official",),
    "block_recurrent_official": (),
    "griffin": (),
    "retro": ("retro_q", "random", "recency"),
    "retro_corpus": ("retro_corpus_random",),
    "rpt_lex": (),
    "rpt_sem": ("rpt_sem_gold_only", "rpt_sem_own_only"),
    "rpt_sem_ungated": (),
}
"""Each, and those that differ from it in depth, schedule, size of a memory, or in which neighbours they read."""
STRUCTURES = [*VARIANTS]
BLOCKS = ["rpt_sem", "memorizing_32k", "block_recurrent", "griffin", "block_recurrent_official"]
"""Systems that have between them every kind of block, norm and residual branch: for what is decided there."""

assert {*SYSTEMS} == {*STRUCTURES, *(name for variants in VARIANTS.values() for name in variants)}
