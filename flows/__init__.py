"""When things run: the command line, the plan, the Prefect flow, and the one caller of DVC."""
