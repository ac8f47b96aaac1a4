"""The command line: one command a file, found by `mfmi.cli.main` through a table of names."""
