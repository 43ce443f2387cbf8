"""The work: pure functions from table to table, and the jobs that train, evaluate and report."""
