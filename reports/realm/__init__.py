"""REALM: its answers and how far its index fell behind, as figures and as a page."""
