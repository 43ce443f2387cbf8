"""The results that this project has kept: figures of a corpus over several seeds, and the page of all of
them.
"""
