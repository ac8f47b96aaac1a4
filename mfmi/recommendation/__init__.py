"""The best initialisation, and code that sets it."""
