"""Numbers alone: figures of evaluations and labels with their intervals. No page is made here."""
