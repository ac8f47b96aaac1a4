"""Rows of the Jacobian's spectrum: how far a network is from an isometry, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfmi.activations import Activation, get, unresolved
from mfmi.columns import COLUMNS as OF_ROWS
from mfmi.columns import Column
from mfmi.errors import ArgumentError, NumericsError
from mfmi.jacobian._jacobian import distance_from_isometry, isometric_weights, jacobian_moments, jacobian_spectrum
from mfmi.jacobian._residual import residual_moments
from mfmi.jacobian._spectrum import JacobianSpectrum
from mfmi.meanfield import propagate, trajectory
from mfmi.networks.points import Points
from mfmi.networks.structure import architecture
from mfmi.processes.progress import staged

Block = dict[str, np.ndarray[Any, Any]]
Spectra = dict[int, JacobianSpectrum]


@dataclass(frozen=True)
class Isometry:
    """Spectra of the Jacobians of a network's layers.

    Attributes
    ----------
    points : the network.
    rows : a row per layer, by column.
    spectra : whole spectra by layer, of plain networks.
    """

    points: Points
    rows: Block
    spectra: Spectra

    @property
    def density(self) -> Block:
        """A row per node of the continuous part and per atom of every spectrum."""
        return _density_block(self.spectra)


def isometry(
    points: Points,
    depth: int,
    *,
    every_layer: bool = False,
    density: bool = False,
    before_each: Callable[[int], None] | None = None,
) -> Isometry:
    """Find moments of all layers, and the spectrum of the last one or of each.

    Parameters
    ----------
    points
        One network.
    depth
        Number of layers.
    every_layer
        Whether to find the spectrum of every layer.
    density
        Whether the spectrum is what is asked for.
    before_each
        Called with the number of a layer before its spectrum is looked for.

    Raises
    ------
    ArgumentError
        The spectrum of a network with norms, skips or relative noise, which is not known.
    """
    if not points.is_plain.all():
        for name, given in (("density", density), ("every_layer", every_layer)):
            if given:
                raise ArgumentError(name, given, "needs the whole spectrum, which is known of plain networks only")
        return Isometry(points, _structured(points, depth), {})
    activation, weights = get(points.activation[0]), str(points.weights[0])
    sigma_w, sigma_b, sigma_noise, input_variance = (
        float(values[0]) for values in (points.sigma_w, points.sigma_b, points.sigma_noise, points.input_variance)
    )
    hidden = sigma_noise if points.noise_at[0] == "every" else 0.0
    rows, variances = _moments(activation, sigma_w, sigma_b, hidden, weights, depth, input_variance)
    spectra: Spectra = {}
    for layer in range(1 if every_layer else depth, depth + 1):
        if before_each is not None:
            before_each(layer)
        message = _add_spectrum(spectra, activation, variances[: layer - 1], sigma_w, weights, layer)
        if message:
            rows["status"][layer - 1], rows["message"][layer - 1] = "failed", message
    _describe(rows, spectra)
    rows |= _nearest(activation, sigma_b, hidden, weights, depth, input_variance)
    return Isometry(points, _network(points, depth) | rows, spectra)


def _network(points: Points, depth: int) -> Block:
    names = ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance")
    return {name: np.repeat(getattr(points, name), depth) for name in names}


def _structured(points: Points, depth: int) -> Block:
    """A row per layer of a network with norms, skips or relative noise: the network cut there."""
    phi, layers = get(points.activation[0]), np.arange(1, depth + 1)
    mean, variance = np.empty((2, depth))
    # With a branch that depends on the depth every layer is the end of a network of its own.
    by_depth = points.structured.branch_by_depth[0]
    for end in layers if by_depth else layers[-1:]:
        network = architecture(phi, points, int(end))
        found = residual_moments(network, points.weights[0], propagate(network))
        start = end - 1 if by_depth else 0
        mean[start:end], variance[start:end] = found.mean[0, start:], found.variance[0, start:]
    known = np.isfinite(mean) & np.isfinite(variance)
    mean, variance = np.where(known, mean, np.nan), np.where(known, variance, np.nan)
    status, reason = _unknown(phi, False)
    settings = points.settings(layers[np.newaxis].astype(np.intp))
    return {name: values[0] for name, values in settings.items() if name not in ("init", "point")} | {
        "jacobian_mean": mean,
        "jacobian_variance": variance,
        "isometry_distance": distance_from_isometry(mean, variance),
        "status": np.where(known, "ok", status).astype(object),
        "message": np.array(["" if fine else reason for fine in known], dtype=object),
    }


def _unknown(activation: Activation, is_unresolved: bool) -> tuple[str, str]:
    """Status and reason where there are no moments."""
    if is_unresolved:
        return "failed", unresolved(activation.name, activation.largest_variance)
    if activation.differentiable:
        return "unbounded", "the variance grows without bound"
    return "failed", "the activation has no derivative"


def _moments(
    activation: Activation,
    sigma_w: float,
    sigma_b: float,
    hidden: float,
    weights: str,
    depth: int,
    input_variance: float,
) -> tuple[Block, Any]:
    """Return a row per layer, and what the activation of each layer sees."""
    path = trajectory(activation, sigma_w**2, sigma_b**2, hidden**2, input_variance, 0.0, depth)
    mean, variance = (values[0] for values in jacobian_moments(activation, path, sigma_w**2, weights))
    known = np.isfinite(mean) & np.isfinite(variance)
    mean, variance = np.where(known, mean, np.nan), np.where(known, variance, np.nan)
    # What the first layer without moments sees is a number that the activation has none at.
    seen = path.s[0, np.flatnonzero(~known)[:1] - 1]
    lost, reason = _unknown(activation, bool(np.any(seen > activation.largest_variance)))
    status = np.where(known, "ok", lost).astype(object)
    rows: Block = {
        "depth": np.arange(1, depth + 1, dtype=np.int32),
        "jacobian_mean": mean,
        "jacobian_variance": variance,
        "isometry_distance": distance_from_isometry(mean, variance),
        "status": status,
        "message": np.array(["" if fine else reason for fine in known], dtype=object),
    }
    return rows, path.s[0]


def _add_spectrum(
    spectra: Spectra, activation: Activation, variances: Any, sigma_w: float, weights: str, layer: int
) -> str | None:
    """Find the spectrum of one layer, if it has any; return why it was not found."""
    known = np.isfinite(variances) & (variances <= activation.largest_variance)
    if not (known.all() and (activation.differentiable or layer == 1) and sigma_w > 0.0):
        return None
    try:
        spectra[layer] = jacobian_spectrum(activation, variances, sigma_w**2, weights)
    except NumericsError as error:
        return str(error)
    return None


def _describe(rows: Block, spectra: Spectra) -> None:
    """Add edges, atoms and condition number of the spectra that were found."""
    depth = len(rows["depth"])
    names = ("spectrum_lower", "spectrum_upper", "zero_mass", "atom_mass", "condition_number", "spectrum_error")
    for name in names:
        rows[name] = np.full(depth, np.nan)
    for layer, found in spectra.items():
        ends = [edge for interval in found.edges for edge in interval] or [value for value, _ in found.atoms]
        values = {
            "spectrum_lower": min(ends),
            "spectrum_upper": max(ends),
            "zero_mass": sum(mass for value, mass in found.atoms if value == 0.0),
            "atom_mass": sum(mass for value, mass in found.atoms if value > 0.0),
            "condition_number": found.condition_number,
            "spectrum_error": found.error,
        }
        for name, value in values.items():
            rows[name][layer - 1] = value


def _nearest(
    activation: Activation, sigma_b: float, hidden: float, weights: str, depth: int, input_variance: float
) -> Block:
    """Return the weights at which the mean is 1 and the variance least, for each layer."""
    found = [
        isometric_weights(
            activation,
            sigma_b2=sigma_b**2,
            sigma_h2=hidden**2,
            input_variance=input_variance,
            depth=layer,
            weights=weights,
        )
        for layer in staged("isometric weights", range(1, depth + 1), "layers")
    ]
    return {
        "isometric_sigma_w": np.array([weights_found.best for weights_found in found]),
        "isometric_variance": np.array([weights_found.best_variance for weights_found in found]),
    }


def _density_block(spectra: Spectra) -> Block:
    """Return a row per node of the continuous part and per atom of every spectrum."""
    parts: dict[str, list[Any]] = {name: [] for name in ("depth", "kind", "x", "density", "mass")}
    for layer, found in spectra.items():
        atoms = np.array(found.atoms).reshape(-1, 2)
        count, n_atoms = len(found.x), len(atoms)
        parts["depth"].append(np.full(count + n_atoms, layer, dtype=np.int32))
        parts["kind"].append(np.array(["atom"] * n_atoms + ["density"] * count, dtype=object))
        parts["x"].append(np.concatenate([atoms[:, 0], found.x]))
        parts["density"].append(np.concatenate([np.full(n_atoms, np.nan), found.density]))
        parts["mass"].append(np.concatenate([atoms[:, 1], found.masses]))
    return {name: np.concatenate(arrays) if arrays else np.empty(0) for name, arrays in parts.items()}


def _columns() -> tuple[Column, ...]:
    network = (
        *("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance"),
        *("normalization", "norm_at", "noise_scale", "skip", "branch", "branch_matrices", "depth"),
    )
    known = {column.name: column for column in OF_ROWS}
    squared = "squared singular values of the Jacobian"
    return (
        *(known[name] for name in network),
        Column("jacobian_mean", "float64", "1", f"mean of the {squared}"),
        Column("jacobian_variance", "float64", "1", f"variance of the {squared}"),
        Column("isometry_distance", "float64", "1", "root mean squared distance of the squared singular values from 1"),
        Column("spectrum_lower", "float64", "1", f"lower end of the continuous part of the {squared}"),
        Column("spectrum_upper", "float64", "1", "upper end of it"),
        Column("zero_mass", "float64", "1", "share of singular values that are 0"),
        Column("atom_mass", "float64", "1", "share of singular values in other atoms"),
        Column("condition_number", "float64", "1", "largest over smallest singular value; infinite where one is 0"),
        Column("spectrum_error", "float64", "1", "relative deviation of the density's moments from the exact ones"),
        Column("isometric_sigma_w", "float64", "1", "sigma_w at which the mean is 1, the one of least variance"),
        Column("isometric_variance", "float64", "1", f"variance of the {squared} there"),
        Column("kind", "string", "", "density or atom"),
        Column("x", "float64", "1", "squared singular value"),
        Column("density", "float64", "1", "density there; null for an atom"),
        Column("mass", "float64", "1", "mass of the atom, or quadrature weight of the node"),
        known["status"],
        known["message"],
    )


COLUMNS = _columns()
"""What the columns of the rows are, those of a density as well."""
