"""Strategies behind an OpenAI-compatible HTTP server: each is a model with a name."""
