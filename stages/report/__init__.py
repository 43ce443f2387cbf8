"""The pages that close a run: of a corpus and of its labels."""
