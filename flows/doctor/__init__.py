"""What `rpt doctor` looks at: this machine, this checkout and its network, each finding with what to do about
it.
"""
