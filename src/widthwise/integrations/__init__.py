"""Strategies in other people's programs. Nothing here is imported but by name: each part needs its program installed."""
