"""How a stage runs: its record, its shards on Ray, what it says, how it is interrupted."""
