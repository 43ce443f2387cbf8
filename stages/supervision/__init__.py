"""From labels to what training reads: sequences and arrays of candidates."""
