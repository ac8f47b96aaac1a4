"""Scalar channels of layers, inputs and outputs (theory (14)-(18))."""
