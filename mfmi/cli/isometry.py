"""``mfmi isometry``: the singular values of a random network's Jacobian, layer by layer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.isometry_view import draw_isometry, draw_structured
from mfmi.cli.options import network_option, network_options, scale_options
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.structure_options import NOISE, noise_text, structure_options, with_structure

if TYPE_CHECKING:
    import numpy as np

    from mfmi.activations import Activation
    from mfmi.columns import Column
    from mfmi.jacobian import JacobianSpectrum
    from mfmi.networks.points import Points

    Block = dict[str, np.ndarray[Any, Any]]
    Spectra = dict[int, JacobianSpectrum]

# The columns of the tables, each with its heading there.
HEADINGS = {
    **{"depth": "layer", "branch": "branch", "jacobian_mean": "mean", "jacobian_variance": "variance"},
    **{"isometry_distance": "distance", "spectrum_lower": "lower", "spectrum_upper": "upper", "zero_mass": "at 0"},
    "condition_number": "condition",
}


@make_command(
    name="isometry",
    examples=(
        "mfmi isometry --act tanh --sw 1.1 --depth 5",
        "mfmi isometry --act relu --sw 1.4142 --weights orthogonal --density --format csv",
        "mfmi isometry --act relu --sw 1.4142 --residual --branch 0.25 --depth 16",
    ),
)
@network_options("activation")
@scale_options
@network_option(
    "sigma_noise",
    type=NOISE,
    help="Standard deviation of the noise, or a number format whose rounding it stands for.",
)
@network_option("noise_at", help="Noise of the hidden layers changes their slopes; noise at the output does not.")
@structure_options
@network_options("weights", "depth", "input_variance")
@click.option("--every-layer", is_flag=True, help="The whole spectrum of every layer, not only of the last.")
@click.option("--density", is_flag=True, help="The spectral density, a row per node and atom.")
@output_options
def command(
    activation: Activation,
    sigma_w: float,
    sigma_b: float,
    init: str | None,
    sigma_noise: float | str,
    noise_at: str,
    structure: dict[str, Any],
    weights: str,
    depth: int,
    input_variance: float,
    every_layer: bool,
    density: bool,
    sink: Sink,
) -> None:
    """Show how far a random network is from an isometry.

    The squared singular values of the Jacobian of each layer by the input: mean and variance, the whole spectrum with
    its edges and atoms, and the weights at which the mean is 1. At an isometry all are 1. Of networks with norms, skips
    or relative noise mean and variance are known.
    """
    from mfmi.networks.points import Points

    points = Points.of(
        activation.name, sigma_w, sigma_b=sigma_b, weights=weights, noise_at=noise_at, input_variance=input_variance
    )
    points = with_structure(points, sigma_noise, structure)
    if not points.is_plain.all():
        if density or every_layer:
            option = "--density" if density else "--every-layer"
            raise click.UsageError(f"{option}: the spectrum is known of plain networks only.")
        block = _structured(points, depth)
        sink.write(
            block,
            [c for c in _columns() if c.name in block],
            table=functools.partial(draw_structured, block, noise_text(points)),
            headings=HEADINGS,
        )
        following("bound", same=True, remark="what each layer of it keeps of the input")
        return
    assert isinstance(sigma_noise, float)
    hidden = sigma_noise if noise_at == "every" else 0.0
    rows, variances = _moments(activation, sigma_w, sigma_b, hidden, weights, depth, input_variance)
    spectra: Spectra = {}
    for layer in range(1 if every_layer else depth, depth + 1):
        message = _add_spectrum(spectra, activation, variances[: layer - 1], sigma_w, weights, layer)
        if message:
            rows["status"][layer - 1], rows["message"][layer - 1] = "failed", message
    _describe(rows, spectra)
    rows |= _nearest(activation, sigma_b, hidden, weights, depth, input_variance)
    network: Block = _network(activation, sigma_w, sigma_b, sigma_noise, noise_at, weights, input_variance, depth)
    block = _density_block(spectra) if density else network | rows
    table = functools.partial(draw_isometry, network | rows, spectra)
    sink.write(block, [column for column in _columns() if column.name in block], table=table, headings=HEADINGS)
    following("bound", same=True, remark="what each layer of it keeps of the input")


def _network(
    activation: Activation,
    sigma_w: float,
    sigma_b: float,
    sigma_noise: float,
    noise_at: str,
    weights: str,
    input_variance: float,
    depth: int,
) -> Block:
    import numpy as np

    words = {"activation": activation.name, "weights": weights, "noise_at": noise_at}
    numbers = {
        "sigma_w": sigma_w,
        "sigma_b": sigma_b,
        "sigma_noise": sigma_noise,
        "input_variance": input_variance,
    }
    return {name: np.full(depth, word, dtype=object) for name, word in words.items()} | {
        name: np.full(depth, value) for name, value in numbers.items()
    }


def _structured(points: Points, depth: int) -> Block:
    """A row per layer of a network with norms, skips or relative noise: the network cut there."""
    import numpy as np

    from mfmi.activations import get
    from mfmi.jacobian import distance_from_isometry, residual_moments
    from mfmi.meanfield import propagate
    from mfmi.networks.structure import architecture

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
    status, reason = _unknown(phi)
    settings = points.settings(layers[np.newaxis].astype(np.intp))
    return {name: values[0] for name, values in settings.items() if name not in ("init", "point")} | {
        "jacobian_mean": mean,
        "jacobian_variance": variance,
        "isometry_distance": distance_from_isometry(mean, variance),
        "status": np.where(known, "ok", status).astype(object),
        "message": np.array([None if fine else reason for fine in known], dtype=object),
    }


def _unknown(activation: Activation) -> tuple[str, str]:
    """Status and reason where there are no moments."""
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
    import numpy as np

    from mfmi.jacobian import distance_from_isometry, jacobian_moments
    from mfmi.meanfield import trajectory

    path = trajectory(activation, sigma_w**2, sigma_b**2, hidden**2, input_variance, 0.0, depth)
    mean, variance = (values[0] for values in jacobian_moments(activation, path, sigma_w**2, weights))
    known = np.isfinite(mean) & np.isfinite(variance)
    mean, variance = np.where(known, mean, np.nan), np.where(known, variance, np.nan)
    lost, reason = _unknown(activation)
    status = np.where(known, "ok", lost).astype(object)
    rows: Block = {
        "depth": np.arange(1, depth + 1, dtype=np.int32),
        "jacobian_mean": mean,
        "jacobian_variance": variance,
        "isometry_distance": distance_from_isometry(mean, variance),
        "status": status,
        "message": np.array([None if fine else reason for fine in known], dtype=object),
    }
    return rows, path.s[0]


def _add_spectrum(
    spectra: Spectra, activation: Activation, variances: Any, sigma_w: float, weights: str, layer: int
) -> str | None:
    """Find the spectrum of one layer, if it has any; return why it was not found."""
    import numpy as np

    from mfmi.errors import NumericsError
    from mfmi.jacobian import jacobian_spectrum

    if not (np.isfinite(variances).all() and (activation.differentiable or layer == 1) and sigma_w > 0.0):
        return None
    try:
        spectra[layer] = jacobian_spectrum(activation, variances, sigma_w**2, weights)
    except NumericsError as error:
        return str(error)
    return None


def _describe(rows: Block, spectra: Spectra) -> None:
    """Add edges, atoms and condition number of the spectra that were found."""
    import numpy as np

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
    import numpy as np

    from mfmi.jacobian import isometric_weights

    found = [
        isometric_weights(
            activation,
            sigma_b2=sigma_b**2,
            sigma_h2=hidden**2,
            input_variance=input_variance,
            depth=layer,
            weights=weights,
        )
        for layer in range(1, depth + 1)
    ]
    return {
        "isometric_sigma_w": np.array([weights_found.best for weights_found in found]),
        "isometric_variance": np.array([weights_found.best_variance for weights_found in found]),
    }


def _density_block(spectra: Spectra) -> Block:
    """Return a row per node of the continuous part and per atom of every spectrum."""
    import numpy as np

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


def _columns() -> list[Column]:
    from mfmi.columns import COLUMNS, Column

    network = (
        *("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance"),
        *("normalization", "norm_at", "noise_scale", "skip", "branch", "branch_matrices", "depth"),
    )
    known = {column.name: column for column in COLUMNS}
    squared = "squared singular values of the Jacobian"
    return [
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
    ]
