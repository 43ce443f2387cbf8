"""What identifies work: the meaning of code, parameters and inputs; scratch that carries it."""
