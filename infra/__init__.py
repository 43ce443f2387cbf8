"""What runs around the pipeline: process leashes, the local Ray, the local Prefect services."""
