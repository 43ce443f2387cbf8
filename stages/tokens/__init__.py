"""From documents to tokens and 64-token chunks, and back from tokens to bytes and text."""
