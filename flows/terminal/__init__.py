"""What a terminal sees: progress, styled text, tables of labels."""
