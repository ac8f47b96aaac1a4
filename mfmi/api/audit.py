"""The audit as a function: files and what they do not say of their network in, a data frame out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations import Activation
from mfmi.activations import get as get_activation
from mfmi.arguments.checks import number, numbers, whole_number, word, words
from mfmi.arguments.ranges import MOST_ENTRIES, NUMBERS
from mfmi.checkpoints._audit import audit_files
from mfmi.checkpoints._axes import Axes
from mfmi.checkpoints._findings import LEVELS
from mfmi.checkpoints._network import FileNetwork
from mfmi.errors import shown
from mfmi.names import ESTIMATORS, NOISE_PLACEMENTS, UNITS, usual_estimators
from mfmi.networks.points import Points
from mfmi.networks.settings import with_settings
from mfmi.storage.frames import to_frame

if TYPE_CHECKING:
    import pandas as pd


def audit(
    checkpoint: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    activation: str | Activation | Callable[..., Any] | None = None,
    *,
    axes: Axes = None,
    heads: int | None = None,
    layers: Sequence[str] | None = None,
    quick: bool = False,
    compare: str | os.PathLike[str] | None = None,
    sigma_noise: float | str = 0.1,
    noise_at: str = "output",
    input_variance: float | None = None,
    correlation: float | None = None,
    inputs: ArrayLike | None = None,
    estimators: str | Iterable[str] | None = None,
    unit: str = "nats",
    normalization: str | None = None,
    norm_at: str | None = None,
    skip: float | None = None,
    branch: float | str | None = None,
    branch_matrices: int | None = None,
    noise_scale: str | None = None,
    noise_in: str | None = None,
) -> pd.DataFrame:
    """Return the layers of a checkpoint, or of several steps, as ``mfmi audit`` shows them.

    Parameters
    ----------
    checkpoint
        A file, a directory, or several: .safetensors, .npz, PyTorch, HDF5, .keras, .onnx.
    activation
        Activation between the layers, for the columns of the network that they are; None leaves those null.
    axes
        "oi" (output, input) or "io" where neither names nor shapes tell the axes of a matrix.
    heads
        Heads of attention, for packed projections in which query, key and value of each head follow each other, as of
        GPT-NeoX, BLOOM and Falcon.
    layers
        Names of the tensors to look at, in that order; an asterisk stands for anything.
    quick
        Without singular values.
    compare
        Another file, whose layers of the same names stand beside; ``attrs["differences"]`` then says where the last
        step differs from it, worst first.
    sigma_noise, noise_at, estimators, unit
        As of `mfmi.evaluate`.
    normalization, norm_at, skip, branch, branch_matrices, noise_scale, noise_in
        As of `mfmi.evaluate`.
    input_variance, correlation
        Variance of an input entry, by default 1, and correlation of the tracked pair, by default 0.5.
    inputs
        Real inputs, a row each, shape (N, n_0): their covariance is that of the input, and the columns ``*_measured``
        say what they do in the network itself.

    Returns
    -------
    pandas.DataFrame
        A row per tensor. ``attrs["findings"]`` has the findings in words, worst first.

    Raises
    ------
    ValueError
        An argument out of range; the message names it.
    OutputError
        A file that cannot be read.

    Examples
    --------
    >>> import mfmi, numpy, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
    >>> weights = numpy.random.default_rng(0).normal(0.0, 0.1, (100, 50))
    >>> numpy.savez(path, **{"fc.weight": weights.T, "fc.bias": numpy.zeros(50)})
    >>> float(mfmi.audit(path).sigma_w[0].round(2))
    1.0
    """
    if axes not in (None, "oi", "io"):
        raise ValueError(f"axes: {axes!r} is not one of None, 'oi', 'io'")
    if isinstance(layers, str):
        raise ValueError(f"layers: {layers!r} is a name, not a sequence of names")
    several = [checkpoint] if isinstance(checkpoint, str | os.PathLike) else list(checkpoint)
    given = {"input_variance": input_variance, "correlation": correlation, "inputs": inputs}
    own = {"normalization": normalization, "norm_at": norm_at, "skip": skip, "branch": branch}
    own |= {"branch_matrices": branch_matrices, "noise_scale": noise_scale, "noise_in": noise_in}
    found = audit_files(
        [os.fspath(path) for path in several],
        axes=axes,
        heads=None if heads is None else whole_number("heads", heads, MOST_ENTRIES),
        layers=layers,
        quick=quick,
        compare=None if compare is None else os.fspath(compare),
        network=_network(activation, sigma_noise, noise_at, estimators, unit, given, own),
    )
    frame = to_frame(found.block)
    frame.attrs["findings"] = [f"{LEVELS[finding.level]}: {finding.text}" for finding in found.findings]
    if compare is not None:
        frame.attrs["differences"] = list(found.differences)
    return frame


def _network(
    activation: Any,
    sigma_noise: float | str,
    noise_at: str,
    estimators: str | Iterable[str] | None,
    unit: str,
    given: dict[str, Any],
    own: dict[str, Any],
) -> FileNetwork | None:
    if activation is None:
        for name, value in {**given, **own, "estimators": estimators}.items():
            if value is not None:
                raise ValueError(f"{name}: {shown(value)} says something of a network; give its activation")
        return None
    for name in ("input_variance", "correlation"):
        if given["inputs"] is not None and given[name] is not None:
            raise ValueError(f"{name}: {shown(given[name])} is not asked for; the inputs have one of their own")
    variance, pair = given["input_variance"], given["correlation"]
    points = Points.of(
        get_activation(activation).name,
        noise_at=word("noise_at", noise_at, NOISE_PLACEMENTS),
        input_variance=number("input_variance", 1.0 if variance is None else variance, NUMBERS["input_variance"]),
        correlation=number("correlation", 0.5 if pair is None else pair, NUMBERS["correlation"]),
    )
    points = with_settings(points, sigma_noise, own)
    plain = bool(points.is_plain.all())
    usual = usual_estimators(plain, not plain)
    named = set(words("estimators", usual if estimators is None else estimators, ESTIMATORS).flat)
    asked = tuple(name for name in ESTIMATORS if name in named)
    table = None if given["inputs"] is None else _inputs(given["inputs"])
    return FileNetwork(points, asked, word("unit", unit, UNITS), table)


def _inputs(given: ArrayLike) -> Any:
    table = numbers("inputs", given, NUMBERS["entries"])
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 1 or not np.isfinite(table).all():
        raise ValueError(f"inputs: a finite table of at least two rows is needed, not of shape {table.shape}")
    return table
