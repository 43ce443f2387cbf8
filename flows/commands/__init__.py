"""One file a command of `rpt` that is more than a line, and the text it prints."""
