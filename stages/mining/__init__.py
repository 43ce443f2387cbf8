"""BM25 candidates of every query chunk."""
