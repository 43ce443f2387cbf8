"""What the servers of pages share: addresses, guards, the shell of a page, drawing, what is kept."""
