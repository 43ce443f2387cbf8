"""What runs around the pipeline: the supervisor of processes, the local Ray, the local Prefect services."""
