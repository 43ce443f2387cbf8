"""Language models that retrieve from their own past: mathematics, modules, losses and one training step."""
