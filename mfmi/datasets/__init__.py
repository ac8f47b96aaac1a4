"""Pairwise bounds on a layer's information about which input of a finite data set was given (theory 4.3)."""

from mfmi.datasets._bounds import InputPairs, PairwiseBounds, equicorrelated_bounds, pairwise_bounds
from mfmi.datasets._pair_chain import PairFactors, pair_factors
from mfmi.datasets._pairs import mean_field_distances, pair_covariance, pair_distance

__all__ = [
    "InputPairs",
    "PairFactors",
    "PairwiseBounds",
    "equicorrelated_bounds",
    "mean_field_distances",
    "pair_covariance",
    "pair_distance",
    "pair_factors",
    "pairwise_bounds",
]
