"""The names of the settings that the records of systems name; data_contracts/evaluations.py says what all
settings are.

Nothing is imported here: the records are read where a training step is compiled, in an environment without
tables.
"""

OWN, WITHOUT, ORACLE, ORACLE_ALL, DPR, BY_CHANCE = "own", "none", "oracle", "oracle_all", "dpr", "by_chance"
