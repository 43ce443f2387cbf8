"""From sources to documents: reading, cleaning, duplicates, splits, shards."""
