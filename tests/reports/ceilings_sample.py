"""Made-up mixtures of an evaluation: what each gains on every token, and on tokens with an eligible
neighbour.
"""

import polars as pl
import pyarrow as pa

from data_contracts.ceilings import CEILINGS

GAINS = {
    "ngram_train": (0.25, 0.25),
    "ngram_cache": (0.125, 0.5),
    "ngram_train_cache": (0.375, 0.75),
    "knn_lm": (0.0, 0.25),
}


def mixed(evaluation: pa.Table) -> pa.Table:
    """CEILINGS of the rows of a run; those with states of the first document alone."""
    own = pl.DataFrame(pl.from_arrow(evaluation)).filter(pl.col("setting") == "own")
    parts = []
    for name, (everywhere, with_neighbour) in GAINS.items():
        here = own.filter(pl.col("doc_id").rle_id() == 0) if name == "knn_lm" else own
        gain = pl.when(pl.col("eligible") > 0).then(with_neighbour).otherwise(everywhere).cast(pl.Float32)
        loss = (pl.col("loss") - gain * pl.col("tokens")).cast(pl.Float32)
        found = here.with_columns(setting=pl.lit(name), loss=loss, token_losses=pl.col("token_losses") - gain)
        parts.append(found.select(CEILINGS.schema.names))
    rows = pl.concat(parts).sort("doc_id", "setting", "chunk")
    return CEILINGS.table({name: rows[name].to_arrow() for name in CEILINGS.schema.names}, mixtures={})
