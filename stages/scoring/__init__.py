"""The labels s_t: pairs, the ledger of paid scores, gates, and the samples that are scored for checks."""
