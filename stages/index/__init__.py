"""Retrieval from a whole corpus: keys of its chunks, an index of them, and what it finds for every chunk."""
