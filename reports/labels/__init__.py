"""Labels read, summed, compared and shown: the label report and the label card."""
