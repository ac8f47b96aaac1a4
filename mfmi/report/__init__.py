"""Summaries and figures of a table of results; values only, drawn by the command line."""
