"""`rpt compare`: which runs it needs, running them, and its results."""
