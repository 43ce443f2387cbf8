"""Stores outside the checkout."""
