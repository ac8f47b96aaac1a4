"""The data sets: real ones that ship with scikit-learn, scaled as the theory's inputs are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 4  # every fourth example of a fixed shuffle is kept for testing


@dataclass(frozen=True)
class Split:
    """Training and test examples.

    Attributes
    ----------
    train_features, test_features : shape (examples, n_0), float32; over the training set every feature that varies has
        mean 0, and the mean square over all entries is 1.
    train_labels, test_labels : classes from 0, shape (examples,).
    """

    train_features: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_features: NDArray[np.float32]
    test_labels: NDArray[np.int64]

    @property
    def inputs(self) -> int:
        """Input dimension n_0."""
        return int(self.train_features.shape[1])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.train_labels.max()) + 1

    @property
    def guess(self) -> float:
        """Cross entropy in nats of answering every question with the shares of the classes in the training set."""
        share = np.bincount(self.train_labels) / len(self.train_labels)
        return float(-(share[share > 0.0] * np.log(share[share > 0.0])).sum())

    @property
    def guessed_right(self) -> float:
        """Share of test examples that are right when the commonest class of the training set is always the answer."""
        return float(np.mean(self.test_labels == np.bincount(self.train_labels).argmax()))


def load(name: str) -> Split:
    """The data set `name`, of `studies.evidence.design.DATA_SETS`, always split alike."""
    from sklearn import datasets

    loader = {"digits": datasets.load_digits, "breast_cancer": datasets.load_breast_cancer}[name]
    features, labels = loader(return_X_y=True)
    return split(np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=np.int64))


def split(features: NDArray[np.float64], labels: NDArray[np.int64]) -> Split:
    """Shuffle, divide and scale; the scale comes from the training examples alone."""
    order = np.random.default_rng(0).permutation(len(labels))
    test = np.arange(len(labels)) % TEST_SHARE == 0
    train_rows, test_rows = order[~test], order[test]
    mean, deviation = features[train_rows].mean(axis=0), features[train_rows].std(axis=0)
    # A pixel that is always black says nothing; it is left at 0, not divided by 0.
    scaled = np.where(deviation > 0.0, (features - mean) / np.where(deviation > 0.0, deviation, 1.0), 0.0)
    scaled /= np.sqrt(np.mean(scaled[train_rows] ** 2))
    scaled = scaled.astype(np.float32)
    return Split(scaled[train_rows], labels[train_rows], scaled[test_rows], labels[test_rows])
