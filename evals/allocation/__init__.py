"""Allocation: one pool of tokens for all problems of a suite, and who of them gets how much."""
