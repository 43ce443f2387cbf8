"""One file a bar: run by `./rpt bench NAME`, prints a ratio or a time and writes JSON."""
