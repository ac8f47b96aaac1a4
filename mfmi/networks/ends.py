"""Fixed points, phases and depth scales of networks of every kind, by the keywords of `mfmi.evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation
from mfmi.activations import get as get_activation
from mfmi.arguments.checks import broadcast_arrays, numbers, objects
from mfmi.arguments.ranges import DEVIATION, INPUT_VARIANCE
from mfmi.meanfield import FixedPoint, StreamEnds, edge_after_norm, stream_ends
from mfmi.meanfield import fixed_point as plain_fixed_point
from mfmi.names import BY_DEPTH
from mfmi.networks.points import Points
from mfmi.networks.settings import Settings
from mfmi.networks.structure import architecture, check
from mfmi.processes.progress import OnProgress, staged
from mfmi.processes.reporting import reporting


def fixed_point(
    activation: str | Activation | Callable[..., Any],
    *,
    sigma_w: ArrayLike,
    sigma_b: ArrayLike = 0.0,
    sigma_noise: ArrayLike | str | Iterable[float | str] = 0.0,
    input_variance: ArrayLike = 1.0,
    normalization: str | Iterable[str] | None = None,
    norm_at: str | Iterable[str] | None = None,
    skip: ArrayLike | None = None,
    branch: ArrayLike | None = None,
    branch_matrices: int | Iterable[int] | None = None,
    hidden_ratio: ArrayLike | None = None,
    sigma_w_in: ArrayLike | None = None,
    sigma_b_in: ArrayLike | None = None,
    sigma_w_out: ArrayLike | None = None,
    sigma_b_out: ArrayLike | None = None,
    noise_scale: str | Iterable[str] | None = None,
    noise_in: str | Iterable[str] | None = None,
    progress: bool | OnProgress = False,
) -> FixedPoint | StreamEnds:
    """Fixed points, phase and depth scales of wide random networks.

    Parameters
    ----------
    activation : name, vectorised function, or an `Activation`.
    sigma_w, sigma_b : standard deviations of weights and biases; broadcast against each other.
    sigma_noise : standard deviation of the noise in the hidden layers, 0 for noise at the output only; or a number
        format, as in `mfmi.evaluate`.
    input_variance : variance of an input entry; decides which of several fixed points is reached.
    normalization, norm_at, skip, branch, branch_matrices, hidden_ratio : norms and skips, as in `mfmi.evaluate`.
    sigma_w_in, sigma_b_in, sigma_w_out, sigma_b_out : of the first matrix, and of the second of a branch.
    noise_scale, noise_in : the scale of the noise, and whether the skip carries it.
    progress : True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    FixedPoint or StreamEnds
        Scalars where all arguments are scalars, else arrays of the broadcast shape; `StreamEnds` where norms, skips,
        a scale of the noise or a number format was given. Attributes, or a table: ``.to_frame()``, `pandas.DataFrame`.

    Raises
    ------
    ValueError
        For an argument out of range, an unknown activation, or settings that contradict each other.

    Examples
    --------
    >>> import mfmi
    >>> end = mfmi.fixed_point("tanh", sigma_w=1.5, sigma_b=0.1)
    >>> print(end.phase, round(float(end.chi_1), 4), round(float(end.xi_c), 3))
    chaotic 1.1291 14.845
    >>> mfmi.fixed_point("tanh", sigma_w=[0.5, 1.0, 1.5]).to_frame().phase.tolist()
    ['ordered', 'critical', 'chaotic']
    """
    structure = {
        **{"normalization": normalization, "norm_at": norm_at, "skip": skip, "branch": branch},
        **{"branch_matrices": branch_matrices, "hidden_ratio": hidden_ratio},
        **{"sigma_w_in": sigma_w_in, "sigma_b_in": sigma_b_in, "sigma_w_out": sigma_w_out},
        **{"sigma_b_out": sigma_b_out, "noise_scale": noise_scale, "noise_in": noise_in},
    }
    given = {name: value for name, value in structure.items() if value is not None}
    has_format = any(isinstance(one, str) for one in objects(sigma_noise).flat)
    if not given and not has_format:
        noise = cast("ArrayLike", sigma_noise)
        return plain_fixed_point(
            get_activation(activation), sigma_w=sigma_w, sigma_b=sigma_b, sigma_noise=noise,
            input_variance=input_variance, progress=progress,
        )  # fmt: skip
    points, shape = _points(activation, sigma_w, sigma_b, sigma_noise, input_variance, given)
    phi = get_activation(points.activation[0])
    found: dict[str, NDArray[Any]] = {}
    with reporting(progress):
        for rows in staged("fixed points", list(points.structured.groups()), "kinds of network"):
            part = stream_ends(architecture(phi, points[rows], 1))
            for name, values in part.items():
                kind = object if values.dtype.kind in "OU" else np.float64
                found.setdefault(name, np.empty(len(points), dtype=kind))[rows] = values
    return StreamEnds(**{name: values.reshape(shape)[()] for name, values in found.items()})


def edge_of_normalised(
    activation: str | Activation, sigma_b: ArrayLike, sigma_noise: ArrayLike | str, structure: dict[str, Any]
) -> NDArray[np.float64]:
    """The sigma_w of the edge of chaos after a norm before the activation, theory (25); shape (n,).

    Returns
    -------
    ndarray
        NaN where there is no edge, and 0 where every sigma_w lies on it.

    Raises
    ------
    ValueError
        Other networks, whose edge is not known; or as `fixed_point`.
    """
    points, _ = _points(activation, 1.0, sigma_b, sigma_noise, 1.0, structure)
    own = points.structured
    known = (own.normalization != "none") & (own.norm_at == "activation") & (own.branch_matrices == 1)
    if not (known & (own.skip <= 1.0)).all():
        raise ValueError(
            "the edge of chaos is known of plain networks, and after a norm before the activation with one matrix a "
            "branch and a skip of at most 1"
        )
    phi = get_activation(activation)
    found = np.empty(len(points))
    for rows in own.groups():
        found[rows] = edge_after_norm(architecture(phi, points[rows], 1))
    return found


def _points(
    activation: Any, sigma_w: Any, sigma_b: Any, sigma_noise: Any, input_variance: Any, structure: dict[str, Any]
) -> tuple[Points, tuple[int, ...]]:
    """The networks, with noise in every layer, and the shape that their arguments broadcast to."""
    if any(isinstance(one, str) for one in objects(sigma_noise).flat):
        settings, noise = Settings.of(sigma_noise, **structure)
    else:
        settings, _ = Settings.of(1.0, **structure)
        noise = numbers("sigma_noise", sigma_noise, DEVIATION)
        settings = replace(settings, number_format=np.full(noise.shape, None, dtype=object))
    given = {
        "sigma_w": numbers("sigma_w", sigma_w, DEVIATION),
        "sigma_b": numbers("sigma_b", sigma_b, DEVIATION),
        "sigma_noise": noise,
        "input_variance": numbers("input_variance", input_variance, INPUT_VARIANCE),
    }
    arrays = given | settings.broadcast
    together = broadcast_arrays(arrays)
    shape = together[0].shape
    flat = {name: array.ravel() for name, array in zip(arrays, together, strict=True)}
    known = settings.structure({name: flat[name] for name in (*settings.broadcast, "sigma_w", "sigma_b")})
    settings.check(known)
    if known is not None and known.branch_by_depth.any():
        raise ValueError(f"branch: {BY_DEPTH} needs a depth, which a fixed point has none of; give the number")
    name = get_activation(activation).name
    w, b, noise, q_x = (flat[one] for one in given)
    points = Points.of(name, w, sigma_b=b, sigma_noise=noise, noise_at="every", input_variance=q_x)
    points = replace(points, structure=known)
    check(points)
    return points, shape
