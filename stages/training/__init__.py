"""The training loop, its data, order, log and checkpoints."""
