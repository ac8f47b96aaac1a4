"""Distance of a random network's Jacobian from an isometry: moments, spectrum, best weights (theory 5)."""

from mfmi.jacobian._isometry import COLUMNS, Isometry, isometry
from mfmi.jacobian._jacobian import (
    IsometricWeights,
    distance_from_isometry,
    isometric_weights,
    isometry_ceiling,
    jacobian_moments,
    jacobian_spectrum,
)
from mfmi.jacobian._residual import ResidualMoments, residual_moments
from mfmi.jacobian._spectrum import JacobianSpectrum

__all__ = [
    "COLUMNS",
    "IsometricWeights",
    "Isometry",
    "JacobianSpectrum",
    "ResidualMoments",
    "distance_from_isometry",
    "isometric_weights",
    "isometry",
    "isometry_ceiling",
    "jacobian_moments",
    "jacobian_spectrum",
    "residual_moments",
]
