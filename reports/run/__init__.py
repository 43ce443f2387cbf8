"""The page of a corpus and its runs, section by section."""
