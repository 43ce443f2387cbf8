"""The reference LM: trained here, from the hub or from a directory, and whether it fits the tokens."""
