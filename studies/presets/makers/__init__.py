"""Scripts that draw layers and save them, each run where its libraries are installed: ``python -m ... FOLDER``."""
