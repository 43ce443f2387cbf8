"""What scoring costs before it is paid: volume, operations, and a measurement on this machine."""
