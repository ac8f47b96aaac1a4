"""Closed bounds on the scalar channel, as tables (theory (15)-(17))."""
