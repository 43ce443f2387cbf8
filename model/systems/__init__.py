"""Systems by family, one file each, with the figures of the paper's Table 2 they are to be measured against.

Perplexities are on the test splits of ArXiv, CodeParrot, PG19 and Books3; time is that of an update, relative to Transformer-XL.
"""

MODULE_OF = {
    "transformer_xl": "transformer_xl",
    "transformer_xl_plus_2": "matched",
    "transformer_xl_longer": "transformer_xl",
    "transformer_xl_same_parameters": "matched",
    "transformer_xl_same_time": "matched",
    "transformer_xl_carry": "transformer_xl",
    "memorizing_32k": "recurrent",
    "memorizing_65k": "recurrent",
    "memorizing_32k_bucketed": "recurrent",
    "block_recurrent": "recurrent",
    "transformer_xl_official": "official",
    "memorizing_32k_official": "official",
    "memorizing_65k_official": "official",
    "block_recurrent_official": "official",
    "griffin": "griffin",
    "retro": "retro",
    "retro_q": "retro",
    "random": "retro",
    "recency": "retro",
    "retro_corpus": "retro_corpus",
    "retro_corpus_random": "retro_corpus",
    "rpt_lex": "rpt",
    "rpt_sem": "rpt",
    "rpt_sem_gold_only": "rpt",
    "rpt_sem_own_only": "rpt",
    "rpt_sem_ungated": "rpt",
}
"""The file of each system. A file is imported when one of its systems is asked for, so that no run depends on the code of another."""
