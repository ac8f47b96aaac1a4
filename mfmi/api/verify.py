"""``mfmi.verify``: the theory of one network beside finite networks drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations import Activation, get
from mfmi.api.arguments import estimators_of, one_network, structure_of, table_of, weights_of
from mfmi.arguments.checks import number, objects, whole_number, whole_numbers, word
from mfmi.arguments.ranges import (
    DEEPEST,
    MOST_NETWORKS,
    MOST_POSITIONS,
    MOST_SAMPLES,
    MOST_SEED,
    NUMBERS,
    WIDEST_SQUARE,
)
from mfmi.errors import ArgumentError, shown
from mfmi.names import (
    CORRELATION,
    DEPTH,
    INPUT_VARIANCE,
    SIGMA_NOISE,
    UNITS,
    VERIFIED_NETWORKS,
    VERIFIED_WIDTH,
)
from mfmi.networks.convolution import convolution_of
from mfmi.networks.model import SQUARE
from mfmi.networks.weights import Weights
from mfmi.processes.pool import available_cpus
from mfmi.processes.progress import OnProgress
from mfmi.processes.reporting import reporting
from mfmi.storage.frames import Answer
from mfmi.storage.provenance import information_unit, provenance_of_command
from mfmi.verification import COLUMNS, Effort, Row, Setting, block_of, chosen_pairs, kernel_of
from mfmi.verification import verify as measure

if TYPE_CHECKING:
    import pandas as pd

LEAST_WIDTH = 2


def verification_of(
    setting: Setting, effort: Effort, unit: str, jobs: int | None, on_progress: OnProgress | None = None
) -> Answer[tuple[Row, ...]]:
    """Measure, and return the rows of the comparison with what they say nothing of: the network and the effort."""
    rows = tuple(row.in_unit(unit) for row in measure(setting, effort, jobs=jobs, on_progress=on_progress))
    settings = setting.points().settings(np.array([[setting.depth]]))
    network = {name: values.astype(object)[0, 0] for name, values in settings.items() if name != "point"}
    about = provenance_of_command(
        "verify",
        [setting.activation.name],
        information=information_unit(unit),
        estimators=effort.estimators,
        network=network | {"activation": setting.activation.name},
        effort={"widths": list(effort.widths), "networks": effort.networks, "samples": effort.samples},
        inputs=len(setting.pairs[0]) if setting.pairs else None,
        convolution=_described(setting),
        seed=effort.seed,
    )
    return Answer(block_of(rows), COLUMNS, about, rows)


def _described(setting: Setting) -> dict[str, Any] | None:
    if setting.convolution is None:
        return None
    return {"positions": list(setting.convolution.positions), "kernel": setting.kernel}


def verify(
    activation: str | Activation | Callable[..., Any],
    sigma_w: float | None = None,
    sigma_b: float | None = None,
    sigma_noise: float | str = SIGMA_NOISE,
    depth: int = DEPTH,
    *,
    weights: str | Weights | ArrayLike = "gaussian",
    noise_at: str = "output",
    input_variance: float = INPUT_VARIANCE,
    correlation: float = CORRELATION,
    estimators: str | Iterable[str] | None = None,
    unit: str = "nats",
    init: str | None = None,
    width: int = VERIFIED_WIDTH,
    widths: Iterable[int] | None = None,
    seeds: int = VERIFIED_NETWORKS,
    seed: int = 0,
    samples: int | None = None,
    inputs: ArrayLike | None = None,
    positions: int | Iterable[int] | None = None,
    input_correlation: float | Iterable[float] | None = None,
    kernel: int | None = None,
    jobs: int | str = "auto",
    normalization: str | None = None,
    norm_at: str | None = None,
    skip: float | None = None,
    branch: float | str | None = None,
    branch_matrices: int | None = None,
    hidden_ratio: float | None = None,
    sigma_w_in: float | None = None,
    sigma_b_in: float | None = None,
    sigma_w_out: float | None = None,
    sigma_b_out: float | None = None,
    noise_scale: str | None = None,
    noise_in: str | None = None,
    progress: bool | OnProgress = False,
) -> pd.DataFrame:
    """Measure finite random networks and set the theory beside them.

    The function of ``mfmi verify``. Length and correlation maps, Jacobian moments and the best linear decoder's
    information, layer by layer: averages over networks, extrapolated to infinite width by their 1/n trend. What
    deviates by more than 3 standard errors is measured again on four times as many fresh networks.

    Parameters
    ----------
    activation, sigma_w, sigma_b, sigma_noise, init
        As of `mfmi.evaluate`, of a single network.
    depth
        Number of layers, from 1 to 10,000; of a branch that depends on the depth, that of the last layer counts.
    weights
        "gaussian", "orthogonal", a `mfmi.Weights`, or an array as of `mfmi.evaluate`.
    noise_at, input_variance, correlation, unit
        As of `mfmi.evaluate`, of a single network.
    estimators
        Which information to compare: "linear" with the decoder's; up to width 32, bounds and replica value with the
        true information of the last layer. By default `mfmi.names.DEFAULT_ESTIMATORS`.
    width
        Units per layer; half of it is measured too, for the 1/n trend.
    widths
        All the widths to measure, in place of `width`.
    seeds
        Independent networks per width, at least 2.
    seed
        Seed of all networks.
    samples
        Inputs per network for the linear decoder; by default 6 times the width.
    inputs
        Real inputs, a row each, shape (N, n_0), in place of Gaussian ones: q, c and chi are measured.
    positions, input_correlation
        Of layers that are circular convolutions, as of `mfmi.evaluate`; widths are those of channels then.
    kernel
        Taps of their gaussian kernels along each axis; by default 3, or all positions.
    jobs
        Number of worker processes, or "auto" for as many as there are processors. A function that has no name in a
        module is measured in this process.
    normalization, norm_at, skip, branch, branch_matrices, hidden_ratio
        As of `mfmi.evaluate`, of a single network.
    sigma_w_in, sigma_b_in, sigma_w_out, sigma_b_out, noise_scale, noise_in
        As of `mfmi.evaluate`, of a single network.
    progress
        True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    pandas.DataFrame
        Per quantity and layer a row for each width, and one without a width: the value at infinite width, with a
        standard error, the deviation `z` from the theory in standard errors, and a `flag` where the two disagree.
        ``attrs["mfmi"]`` says which network and how much was measured.

    Raises
    ------
    ValueError
        An argument out of range; the message names it and its value.

    Examples
    --------
    >>> import mfmi
    >>> rows = mfmi.verify("tanh", 1.5, depth=2, width=40, seeds=4, jobs=1, estimators="linear")
    >>> limits = rows[rows.width.isna()]
    >>> sorted(set(limits.quantity))
    ['c', 'chi', 'jacobian_mean', 'jacobian_relative_variance', 'mi_linear', 'q']
    >>> bool((limits.z.abs() < 3).all())
    True
    """
    structure = structure_of(locals())
    labels, model = weights_of(weights, SQUARE)
    if labels.ndim:
        raise ValueError(f"weights: {shown(weights)} are not those of a single network")
    points = one_network(
        activation,
        sigma_w,
        sigma_b,
        init,
        sigma_noise,
        structure,
        noise_at=noise_at,
        weights=labels.item(),
        input_variance=input_variance,
    )
    effort = Effort.at(
        whole_number("width", width, WIDEST_SQUARE, least=2 * LEAST_WIDTH),
        None if widths is None else _widths(widths),
        whole_number("seeds", seeds, MOST_NETWORKS, least=2),
        whole_number("seed", seed, MOST_SEED, least=0),
        None if samples is None else whole_number("samples", samples, MOST_SAMPLES),
        estimators_of(estimators, plain=True, structured=False),
    )
    convolution = convolution_of(positions, input_correlation)
    setting = Setting(
        get(points.activation[0]),
        float(points.sigma_w[0]),
        float(points.sigma_b[0]),
        objects(sigma_noise).item(),
        points.noise_at[0],
        model.weights[0] if model.weights else labels.item(),
        whole_number("depth", depth, DEEPEST),
        float(points.input_variance[0]),
        number("correlation", correlation, NUMBERS["correlation"]),
        None if inputs is None else chosen_pairs(table_of("inputs", inputs), effort.seed),
        {name: objects(value).item() for name, value in structure.items() if value is not None},
        convolution,
        kernel_of(convolution, None if kernel is None else whole_number("kernel", kernel, MOST_POSITIONS)),
    )
    setting.check()
    processes = _jobs(jobs, setting.activation)
    unit = word("unit", unit, UNITS)
    with reporting(progress) as on_progress:
        return verification_of(setting, effort, unit, processes, on_progress).to_frame()


def _widths(given: object) -> tuple[int, ...]:
    found = sorted(whole_numbers("widths", given, WIDEST_SQUARE, least=LEAST_WIDTH).tolist())
    if len(set(found)) < len(found):
        raise ValueError(f"widths: {shown(given)} names a width twice")
    return tuple(found)


def _jobs(given: object, activation: Activation) -> int | None:
    """Number of processes; None for a function that others do not know."""
    private = bool(getattr(activation, "private", False))
    if isinstance(objects(given).tolist(), str):
        word("jobs", given, ("auto",))
        return None if private else available_cpus()
    jobs = whole_number("jobs", given, 2**31 - 1)
    if private and jobs > 1:
        raise ArgumentError("jobs", given, f"is too many: only this process knows {activation.name}")
    return None if private else jobs
