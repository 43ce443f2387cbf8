"""Streaming evaluation of a trained system, with its own, an oracle's or another system's neighbours."""
