"""The data sets: real ones that ship with scikit-learn, scaled as the theory's inputs are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 4  # every fourth example of a fixed shuffle is kept for testing
VALIDATION_SHARE = 6  # and every sixth of the others for choosing a learning rate


@dataclass(frozen=True)
class Split:
    """Training and test examples.

    Attributes
    ----------
    train_features, test_features : shape (examples, n_0), float32; over the training set every feature that varies has
        mean 0, and the mean square over all entries is 1.
    train_labels, test_labels : shape (examples,): classes from 0; of a regression, float32 targets of mean 0 and
        variance 1 over the training set.
    """

    train_features: NDArray[np.float32]
    train_labels: NDArray[Any]
    test_features: NDArray[np.float32]
    test_labels: NDArray[Any]

    @property
    def inputs(self) -> int:
        """Input dimension n_0."""
        return int(self.train_features.shape[1])

    @property
    def regression(self) -> bool:
        """Whether the labels are numbers."""
        return self.train_labels.dtype.kind == "f"

    @property
    def classes(self) -> int:
        """Number of classes; of a regression 1, its one output."""
        return 1 if self.regression else int(self.train_labels.max()) + 1

    @property
    def guess(self) -> float:
        """Loss of the same answer to every question.

        Cross entropy in nats of the shares of the classes in the training set; mean squared error of the mean.
        """
        if self.regression:
            return float(np.var(self.train_labels))
        share = np.bincount(self.train_labels) / len(self.train_labels)
        return float(-(share[share > 0.0] * np.log(share[share > 0.0])).sum())

    def validation(self) -> tuple[Split, Split]:
        """The split with fewer training examples, and one that has those taken out in place of the test examples."""
        out = np.arange(len(self.train_labels)) % VALIDATION_SHARE == 0
        kept = self.train_features[~out], self.train_labels[~out]
        checked = self.train_features[out], self.train_labels[out]
        return Split(*kept, self.test_features, self.test_labels), Split(*kept, *checked)


def load(name: str) -> Split:
    """The data set `name`, of `studies.evidence.design.DATA_SETS`, always split alike."""
    from sklearn import datasets

    features, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    numbers = np.float64 if np.asarray(labels).dtype.kind == "f" else np.int64
    return split(np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=numbers))


def split(features: NDArray[np.float64], labels: NDArray[Any]) -> Split:
    """Shuffle, divide and scale; the scale comes from the training examples alone."""
    order = np.random.default_rng(0).permutation(len(labels))
    test = np.arange(len(labels)) % TEST_SHARE == 0
    train_rows, test_rows = order[~test], order[test]
    mean, deviation = features[train_rows].mean(axis=0), features[train_rows].std(axis=0)
    # A pixel that is always black says nothing; it is left at 0, not divided by 0.
    scaled = np.where(deviation > 0.0, (features - mean) / np.where(deviation > 0.0, deviation, 1.0), 0.0)
    scaled /= np.sqrt(np.mean(scaled[train_rows] ** 2))
    scaled = scaled.astype(np.float32)
    if labels.dtype.kind == "f":
        labels = ((labels - labels[train_rows].mean()) / labels[train_rows].std()).astype(np.float32)
    return Split(scaled[train_rows], labels[train_rows], scaled[test_rows], labels[test_rows])
