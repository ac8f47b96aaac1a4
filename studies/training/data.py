"""The data: digits, and classes that a random teacher gives to Gaussian inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from studies.evidence.data import Split
from studies.evidence.data import load as load_real
from studies.training.design import Case, Design

CLASSES, HIDDEN = 4, 8


def load(case: Case, design: Design) -> Split:
    """The data of a case, always alike."""
    if case.data_set == "digits":
        return load_real("digits")
    return teacher(design.units(case), design.examples)


def teacher(inputs: int, examples: tuple[int, int]) -> Split:
    """Standard normal inputs and the largest of four outputs that a random tanh network of eight units gives them.

    Parameters
    ----------
    inputs
        Input dimension.
    examples
        Number of examples for training and for testing.
    """
    rng = np.random.default_rng(7)
    first = rng.standard_normal((inputs, HIDDEN)) * 2.0 / np.sqrt(inputs)
    second = rng.standard_normal((HIDDEN, CLASSES))

    def drawn(count: int) -> tuple[NDArray[np.float32], FloatArray]:
        features = rng.standard_normal((count, inputs)).astype(np.float32)
        return features, np.tanh(features @ first) @ second

    parts = [drawn(count) for count in examples]
    middle = parts[0][1].mean(axis=0)  # so that no class is rare
    (x, y), (test_x, test_y) = parts
    return Split(x, (y - middle).argmax(axis=1), test_x, (test_y - middle).argmax(axis=1))
