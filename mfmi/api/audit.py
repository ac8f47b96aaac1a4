"""``mfmi.audit``: files and what they do not say of their network in, a data frame out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from mfmi.activations import Activation
from mfmi.api.arguments import activation_of, estimators_of, one_noise, one_structure, table_of
from mfmi.arguments.checks import flag, number, objects, whole_number, word
from mfmi.arguments.ranges import MOST_ENTRIES, NUMBERS
from mfmi.checkpoints import LEVELS, Audit, Axes, FileNetwork, audit_files
from mfmi.errors import shown
from mfmi.names import CORRELATION, INPUT_VARIANCE, NOISE_PLACEMENTS, SIGMA_NOISE, UNITS
from mfmi.networks.points import Points
from mfmi.networks.settings import with_settings
from mfmi.processes.progress import OnProgress
from mfmi.processes.reporting import reporting
from mfmi.storage.frames import Answer
from mfmi.storage.parquet import columns_in
from mfmi.storage.provenance import information_unit, provenance_of_command

if TYPE_CHECKING:
    from mfmi.api.frames import AuditFrame


def audit(
    checkpoint: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    activation: str | Activation | Callable[..., Any] | None = None,
    *,
    axes: Axes = None,
    heads: int | None = None,
    layers: Sequence[str] | None = None,
    quick: bool = False,
    compare: str | os.PathLike[str] | None = None,
    sigma_noise: float | str = SIGMA_NOISE,
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
    progress: bool | OnProgress = False,
) -> AuditFrame:
    """Return the layers of a checkpoint, or of several steps, as ``mfmi audit`` shows them.

    Parameters
    ----------
    checkpoint
        A file, a directory, or several: .safetensors, .npz, PyTorch, HDF5, .keras, .onnx, .gguf, .msgpack,
        .eqx, and folders of orbax.
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
    progress
        True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    pandas.DataFrame
        A row per tensor. ``attrs["findings"]`` has the findings in words, worst first, and ``attrs["mfmi"]`` says where
        the rows came from. A notebook shows the findings above the rows.

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
    if axes is not None:
        word("axes", axes, ("oi", "io"))
    given = {"input_variance": input_variance, "correlation": correlation, "inputs": inputs}
    own = {"normalization": normalization, "norm_at": norm_at, "skip": skip, "branch": branch}
    own |= {"branch_matrices": branch_matrices, "noise_scale": noise_scale, "noise_in": noise_in}
    network = _network(activation, sigma_noise, noise_at, estimators, unit, given, own)
    other = None if compare is None else _path("compare", compare)
    with reporting(progress):
        found = audit_files(
            _paths(checkpoint),
            axes=axes,
            heads=None if heads is None else whole_number("heads", heads, MOST_ENTRIES),
            layers=_names(layers),
            quick=flag("quick", quick),
            compare=other,
            network=network,
        )
    from mfmi.api.frames import AuditFrame

    frame = answer_of(found, network, other).to_frame(AuditFrame)
    frame.attrs["findings"] = _worded(found)
    if compare is not None:
        frame.attrs["differences"] = list(found.differences)
    return frame


def answer_of(found: Audit, network: FileNetwork | None, compare: str | None) -> Answer[Audit]:
    """The rows of an audit, with what a file of them says: the findings, the network, the differences."""
    unit = "nats" if network is None else network.unit
    own: dict[str, Any] = {"findings": _worded(found)}
    activations: tuple[str, ...] = ()
    if network is not None:
        points = network.points
        activations = (str(points.activation[0]),)
        own |= {"activation": activations[0], "noise_at": str(points.noise_at[0])}
        own |= {"sigma_noise": float(points.sigma_noise[0]), "unit": unit}
        own |= {"inputs": network.source if network.inputs is not None else None}
    if compare is not None:
        own |= {"other": compare, "differences": list(found.differences)}
    about = provenance_of_command(
        "audit",
        activations,
        information=information_unit(unit) if network is not None else "",
        estimators=network.estimators if network is not None else (),
        audit=own,
    )
    return Answer(found.block, columns_in(unit, found.columns), about, found)


def _worded(found: Audit) -> list[str]:
    return [f"{LEVELS[finding.level]}: {finding.text}" for finding in found.findings]


def _paths(checkpoint: object) -> list[str]:
    several = objects(checkpoint).ravel().tolist()
    if not several:
        raise ValueError("checkpoint is empty: name a file or a directory")
    return [_path("checkpoint", one) for one in several]


def _path(argument: str, given: object) -> str:
    if not isinstance(given, str | os.PathLike):
        raise ValueError(f"{argument}: {shown(given)} is not a path")
    path = os.fspath(given)
    if not isinstance(path, str):
        raise ValueError(f"{argument}: {shown(given)} is not a path of text")
    return path


def _names(layers: object) -> list[str] | None:
    if layers is None:
        return None
    array = objects(layers)
    wrong = [one for one in array.flat if not isinstance(one, str)]
    if wrong or array.ndim != 1 or not array.size:
        raise ValueError(f"layers: {shown(layers)} is not a sequence of names")
    return [str(one) for one in array]


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
    variance = INPUT_VARIANCE if given["input_variance"] is None else given["input_variance"]
    pair = CORRELATION if given["correlation"] is None else given["correlation"]
    points = Points.of(
        activation_of(activation).name,
        noise_at=word("noise_at", noise_at, NOISE_PLACEMENTS),
        input_variance=number(
            "input_variance", INPUT_VARIANCE if variance is None else variance, NUMBERS["input_variance"]
        ),
        correlation=number("correlation", pair, NUMBERS["correlation"]),
    )
    points = with_settings(points, one_noise(sigma_noise), one_structure(own))
    plain = bool(points.is_plain.all())
    asked = estimators_of(estimators, plain, not plain)
    table = None if given["inputs"] is None else table_of("inputs", given["inputs"])
    return FileNetwork(points, asked, word("unit", unit, UNITS), table)
