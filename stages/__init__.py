"""The work: pure functions from table to table, and the jobs that train, evaluate and report."""

import os

# Before gcsfs is imported. It would ask another service for the kind of a bucket first, and wait a minute
# where that may not be asked; no answer is needed here.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
