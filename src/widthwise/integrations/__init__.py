"""Strategies in other programs. Each part needs its program installed, and is imported by name only."""
