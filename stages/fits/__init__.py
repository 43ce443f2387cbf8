"""Whether a training step fits accelerators that are not here: it is compiled for them, and what the compiler
says is put into figures.
"""
