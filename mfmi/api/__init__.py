"""The Python face, a function a module: arguments checked, a data frame out."""
