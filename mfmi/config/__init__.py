"""Config files: text to a typed plan, every mistake with its place."""
