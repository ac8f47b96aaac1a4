"""Residual streams, whose layers share their sites (theory (35)-(37))."""
