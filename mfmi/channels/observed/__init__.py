"""The observed layer: its pre-activation, or its activation (theory section 3)."""
