"""REALM: passages and questions of a corpus, a warm start, an index that moves while training goes on, and
what it answers.
"""
