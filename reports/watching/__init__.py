"""The page of the run that goes: what `./rpt watch --page` shows."""
