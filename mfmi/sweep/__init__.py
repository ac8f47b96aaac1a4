"""Sweeps: a config in, a plan of chunks, a table out."""
