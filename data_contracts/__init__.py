"""What every artifact looks like: schemas, invariants, the only reader and writer of Parquet."""
