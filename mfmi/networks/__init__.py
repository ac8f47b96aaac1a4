"""The networks that are evaluated: points, weights and spectra, shape and law of the input."""
