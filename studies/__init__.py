"""Studies with the package: does information at initialisation follow trainability, and the figures of docs/."""
