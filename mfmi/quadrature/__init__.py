"""Rules that know no activation: Gaussian, panels, splines, Chebyshev, roots."""
