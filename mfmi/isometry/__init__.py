"""Distance of a random network's Jacobian from an isometry: moments, spectrum, best weights (theory 5)."""

from mfmi.isometry._jacobian import (
    IsometricWeights,
    distance_from_isometry,
    isometric_weights,
    isometry_ceiling,
    jacobian_moments,
    jacobian_spectrum,
)
from mfmi.isometry._residual import ResidualMoments, residual_moments
from mfmi.isometry._spectrum import JacobianSpectrum

__all__ = [
    "IsometricWeights",
    "JacobianSpectrum",
    "ResidualMoments",
    "distance_from_isometry",
    "isometric_weights",
    "isometry_ceiling",
    "jacobian_moments",
    "jacobian_spectrum",
    "residual_moments",
]
