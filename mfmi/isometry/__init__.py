"""How far the Jacobian of a random network is from an isometry: moments, whole spectrum, best weights (theory 5)."""

from mfmi.isometry._jacobian import (
    IsometricWeights,
    distance_from_isometry,
    isometric_weights,
    isometry_ceiling,
    jacobian_moments,
    jacobian_spectrum,
)
from mfmi.isometry._spectrum import JacobianSpectrum

__all__ = [
    "IsometricWeights",
    "JacobianSpectrum",
    "distance_from_isometry",
    "isometric_weights",
    "isometry_ceiling",
    "jacobian_moments",
    "jacobian_spectrum",
]
