"""The potential of a layered channel and its stationary points (theory (8)-(12))."""
