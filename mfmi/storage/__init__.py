"""Rows as Parquet, files that appear whole or not at all, arrays from files, provenance."""
