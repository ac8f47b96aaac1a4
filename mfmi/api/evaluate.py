"""``mfmi.evaluate``: networks in, a data frame out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation
from mfmi.api.arguments import activation_names, estimators_of, scales_of, structure_of, weights_of
from mfmi.arguments.checks import broadcast_arrays, listed, number, numbers, whole_number, whole_numbers, word, words
from mfmi.arguments.ranges import DEEPEST, MOST_SEED, NUMBERS, WIDEST, WIDEST_DRAWN
from mfmi.bounds.evaluate import evaluate_points
from mfmi.columns import DATA_NAMES, OPTIONAL_NAMES, columns_with
from mfmi.errors import shown
from mfmi.names import CORRELATION, DEPTH, INPUT_VARIANCE, NOISE_PLACEMENTS, OBSERVABLES, PRIORS, SIGMA_NOISE, UNITS
from mfmi.networks.convolution import convolution_of
from mfmi.networks.model import SQUARE, DataSet, Model, ratios_of
from mfmi.networks.points import Points
from mfmi.networks.settings import Settings
from mfmi.networks.structure import sites_of
from mfmi.networks.weights import Weights
from mfmi.processes.progress import Clock, OnProgress
from mfmi.processes.reporting import reporting
from mfmi.storage.frames import Answer
from mfmi.storage.parquet import columns_in
from mfmi.storage.provenance import provenance_of_rows

if TYPE_CHECKING:
    import pandas as pd

# What is reported is done in so many parts, of at least so many rows, which cost little more than all at once.
PARTS = 50
ROWS_OF_A_PART = 64


def evaluate(
    activation: str | Activation | Callable[..., Any] | Iterable[str | Activation | Callable[..., Any]],
    sigma_w: ArrayLike | None = None,
    sigma_b: ArrayLike | None = None,
    sigma_noise: ArrayLike | str | Iterable[float | str] = SIGMA_NOISE,
    depth: int | Iterable[int] | None = None,
    *,
    layers: int | None = None,
    weights: str | Weights | ArrayLike | Iterable[str | Weights] = "gaussian",
    noise_at: str | Iterable[str] = "output",
    input_variance: ArrayLike | None = None,
    correlation: ArrayLike = CORRELATION,
    estimators: str | Iterable[str] | None = None,
    unit: str = "nats",
    columns: str | Iterable[str] = (),
    widths: Iterable[int] | None = None,
    alpha: Iterable[float] | None = None,
    inputs: ArrayLike | None = None,
    width: int | None = None,
    seed: int = 0,
    prior: str = "gaussian",
    sparsity: float | None = None,
    input_spectrum: ArrayLike | None = None,
    observe: str = "pre-activation",
    init: str | Iterable[str] | None = None,
    normalization: str | Iterable[str] | None = None,
    norm_at: str | Iterable[str] | None = None,
    skip: ArrayLike | None = None,
    branch: ArrayLike | str | Iterable[float | str] | None = None,
    branch_matrices: int | Iterable[int] | None = None,
    hidden_ratio: ArrayLike | None = None,
    sigma_w_in: ArrayLike | None = None,
    sigma_b_in: ArrayLike | None = None,
    sigma_w_out: ArrayLike | None = None,
    sigma_b_out: ArrayLike | None = None,
    noise_scale: str | Iterable[str] | None = None,
    noise_in: str | Iterable[str] | None = None,
    positions: int | Iterable[int] | None = None,
    input_correlation: float | Iterable[float] | None = None,
    progress: bool | OnProgress = False,
) -> pd.DataFrame:
    """Mean-field quantities and information bounds of random networks, a row per network and depth.

    The arguments up to `correlation`, `depth` apart, and those from `init` on broadcast against each other by numpy's
    rules; each entry of the result is a network, flattened in C order, and is looked at at every depth.

    Parameters
    ----------
    activation
        Names such as "tanh" or "leaky_relu(0.1)", vectorised functions, or activations (see `mfmi.activation`).
    sigma_w
        Standard deviation of the weights, times the root of the fan-in; at least 0.
    sigma_b
        Standard deviation of the biases; at least 0, by default 0.
    sigma_noise
        Standard deviation of the noise; greater than 0. A number format ("float16", "bfloat16", "float8_e4m3fn",
        "float8_e5m2") is the relative noise that its rounding is equivalent to, theory (29): an approximation.
    depth
        The observed layers, each from 1 to 10,000; by default 10, or the last one of `widths`.
    layers
        All layers from 1 to this one, in place of `depth`.
    weights
        "gaussian", "orthogonal", or a `mfmi.Weights`: singular values of one's own, or an ensemble per layer. An array
        of numbers is a spectrum: eigenvalues of `W^T W` (1-D), or a weight matrix, a row per unit (2-D). `sigma_w` is
        the scale of all of them.
    noise_at
        "output" (noise at the observed layer only) or "every" (the same in every layer).
    input_variance
        Variance of an input entry; greater than 0. By default 1, or the mean square of `inputs`.
    correlation
        Correlation of the tracked pair of inputs, in [-1, 1].
    estimators
        Among `mfmi.names.ESTIMATORS`; by default all of them of requests of at most `mfmi.names.ALL_UP_TO` layers
        (networks times depths times the layers down to each), `mfmi.names.DEFAULT_ESTIMATORS` of larger ones, and of
        networks with norms, skips, relative noise or correlated positions `mfmi.names.STRUCTURED_ESTIMATORS`.
    unit
        "nats" or "bits", per input dimension.
    columns
        Optional columns, among `mfmi.columns.OPTIONAL_NAMES`, such as "mmse".
    widths
        Widths `n_0` of the input and `n_1, ..., n_L` of the layers; by default all layers are square.
    alpha
        Their ratios `n_l / n_{l-1}`, `l = 1..L`, in place of the widths.
    inputs
        Real inputs, a row each, shape (N, n_0): adds the columns `mi_pairwise_lower` and `mi_pairwise_upper`, bounds on
        the information about which of them it was, in total nats or bits.
    width
        Units in every layer of the finite networks that `inputs` go through.
    seed
        Of their sampled hidden layers.
    prior
        Law of the input's independent entries: "gaussian", "rademacher" (two values) or "spike_slab" (most are 0).
    sparsity
        Share of the entries that are not 0, of a "spike_slab" input, in (0, 1].
    input_spectrum
        Eigenvalues of the covariance of a gaussian input (1-D), or samples of it (2-D, a row each). Their mean is the
        input's variance, unless `input_variance` is given.
    observe
        What is known of the observed layer: "pre-activation", with its noise, or "activation" of that noisy
        pre-activation, `phi(y + eps)`.
    init
        Names of library initialisers (see `mfmi.initialisers`), in place of `sigma_w` and `sigma_b`.
    normalization
        "none", "layernorm", "rmsnorm" or "batchnorm" (a large batch).
    norm_at
        "activation" (before it; the default), "output" (after it) or "stream" (post-norm of a residual network).
    skip, branch
        Factors a and g of `h' = a h + g W phi(norm(h))`; by default 0 and 1, a plain network. A `branch` of
        "1/sqrt(depth)" is scaled by the depth of the row.
    branch_matrices
        1, or 2 for `W_2 phi(W_1 norm(h))`.
    hidden_ratio
        Width between the two matrices over that of the stream, by default 1.
    sigma_w_in, sigma_b_in
        Of the first matrix, which reads the input; by default `sigma_w` and `sigma_b`.
    sigma_w_out, sigma_b_out
        Of the second matrix of a branch; by default `sigma_w` and `sigma_b`.
    noise_scale
        "absolute" (before the norm), or "relative" (after it): `sigma_noise` is a share of the signal's standard
        deviation at that layer. Absolute by default, relative for number formats.
    noise_in
        Whether the skip carries the hidden noise too: "branch" (no) or "stream" (yes; of number formats always).
    positions
        Of layers that are circular convolutions: how many on a ring, or along each axis. Widths are those of channels.
    input_correlation
        r, for inputs correlated by `r^distance`; or, on a ring, correlations at the distances 1, 2, ... 0 by default.
    progress
        True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    pandas.DataFrame
        The columns `mfmi.columns.COLUMNS`, then those of `columns`. What does not exist or was not requested
        is null. A network without a finite answer is a row whose `status` and `message` say why, never an exception.
        ``attrs["mfmi"]`` says where the rows came from (versions, what the estimators rest on), ``attrs["units"]`` and
        ``attrs["descriptions"]`` what the columns are.

    Raises
    ------
    ValueError
        An argument out of range; the message names it and its value.

    Examples
    --------
    >>> import mfmi
    >>> rows = mfmi.evaluate("tanh", sigma_w=[1.0, 1.5], depth=[1, 5, 10], estimators=["linear"])
    >>> rows[["sigma_w", "depth", "mi_linear"]].round(3).values.tolist()
    [[1.0, 1.0, 1.9], [1.0, 5.0, 0.358], [1.0, 10.0, 0.192], [1.5, 1.0, 2.274], [1.5, 5.0, 0.26], [1.5, 10.0, 0.101]]

    A function of one's own, all layers up to the third, between a lower and an upper bound:

    >>> import numpy as np
    >>> rows = mfmi.evaluate(lambda u: u / (1.0 + np.abs(u)), 2.0, layers=3)
    >>> bool((rows.mi_lower <= rows.mi_upper).all())
    True
    >>> rows.attrs["units"]["mi_lower"]
    'nats per input dimension'
    """
    model = _model(widths, alpha, _data_set(inputs, width, seed))
    if model.data and input_variance is not None:
        raise ValueError(f"input_variance: {shown(input_variance)} is not asked for; the inputs have one of their own")
    if prior != "gaussian" or sparsity is not None or input_spectrum is not None:
        model = _with_law(model, prior, sparsity, input_spectrum)
    convolution = convolution_of(positions, input_correlation)
    model = model if convolution is None else model.with_convolution(convolution)
    model = replace(model, observe=word("observe", observe, OBSERVABLES))
    own = (
        model.data.variance if model.data else INPUT_VARIANCE if model.input_variance is None else model.input_variance
    )
    labels, model = weights_of(weights, model)
    names, sigma_w, sigma_b = scales_of(sigma_w, sigma_b, init)
    settings, noise = Settings.of(sigma_noise, **structure_of(locals()))
    points = _points(
        settings,
        activation=activation_names(activation),
        weights=labels,
        noise_at=words("noise_at", noise_at, NOISE_PLACEMENTS),
        sigma_w=numbers("sigma_w", sigma_w, NUMBERS["sigma_w"]),
        sigma_b=numbers("sigma_b", sigma_b, NUMBERS["sigma_b"]),
        sigma_noise=noise,
        input_variance=numbers(
            "input_variance", own if input_variance is None else input_variance, NUMBERS["input_variance"]
        ),
        correlation=numbers("correlation", correlation, NUMBERS["correlation"]),
        init=names,
    )
    observed = _observed(depth, layers, model)
    plain = points.is_plain
    of_plain, of_others = bool(plain.any()) and not model.mixes, model.mixes or not plain.all()
    asked = estimators_of(estimators, of_plain, of_others, int(observed.sum()) * len(points))
    wanted = set(words("columns", columns, OPTIONAL_NAMES).flat)
    optional = tuple(name for name in OPTIONAL_NAMES if name in wanted) + (DATA_NAMES if model.data else ())
    unit = word("unit", unit, UNITS)

    about = provenance_of_rows("evaluate", points, asked, unit, optional, model)
    with reporting(progress) as on_progress:
        block = _rows(points, observed, asked, unit, optional, model, on_progress)
    return Answer(block, columns_in(unit, columns_with(optional)), about, points).to_frame()


def _rows(
    points: Points,
    observed: NDArray[np.int64],
    asked: tuple[str, ...],
    unit: str,
    optional: tuple[str, ...],
    model: Model,
    on_progress: OnProgress | None,
) -> dict[str, NDArray[Any]]:
    """Evaluate the points, so many at once."""
    model = model.for_layers(int(observed.sum()) * len(points))
    size = model.points_at_once(observed, sites=sites_of(points))
    if on_progress is not None:  # parts that are finished every now and then
        size = min(size, max(-(-len(points) // PARTS), ROWS_OF_A_PART // len(observed), 1))
    starts = range(0, len(points), size)
    clock = Clock(on_progress, len(starts))
    clock.tell("evaluate", 0)
    chunks = []
    for start in starts:
        chunks.append(evaluate_points(points[start : start + size], observed, asked, unit, optional, model))
        clock.finish(len(chunks[-1]["depth"]))
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _observed(depth: object, layers: object, model: Model) -> NDArray[np.int64]:
    """The layers to look at: those of `depth`, or all up to `layers`."""
    if layers is not None:
        if depth is not None:
            raise ValueError(f"layers: {shown(layers)} are all up to that one; give depth or layers, not both")
        found = np.arange(1, whole_number("layers", layers, DEEPEST) + 1)
    else:
        found = whole_numbers("depth", depth if depth is not None else model.layers or DEPTH, DEEPEST)
    if model.layers is not None and found.max() > model.layers:
        argument = "depth" if layers is None else "layers"
        raise ValueError(f"{argument}: {found.max().item()!r} is beyond the {model.layers} layers of the network")
    return found


def _points(settings: Settings, **arguments: NDArray[Any]) -> Points:
    """Return the points at which the arguments meet."""
    own = settings.broadcast
    arguments |= own
    arrays = broadcast_arrays(arguments)
    flat = {name: array.ravel() for name, array in zip(arguments, arrays, strict=True)}
    if arrays[0].size == 0:
        empty = ", ".join(name for name, array in arguments.items() if array.size == 0)
        raise ValueError(f"{empty} is empty")
    structure = settings.structure({name: flat[name] for name in (*own, "sigma_w", "sigma_b")})
    settings.check(structure)
    of_points = {name: values for name, values in flat.items() if name not in own}
    return Points(index=np.arange(arrays[0].size, dtype=np.int64), **of_points, structure=structure)


def _with_law(model: Model, prior: object, sparsity: object, spectrum: object) -> Model:
    name = word("prior", prior, PRIORS)
    share = None if sparsity is None else number("sparsity", sparsity, NUMBERS["sparsity"])
    if model.data is not None:
        raise ValueError("prior, sparsity, input_spectrum: inputs are what they are")
    if spectrum is None:
        return Model.with_input(name, model.alpha, share)
    if name != "gaussian" or share is not None:
        raise ValueError("input_spectrum: an input with a covariance is gaussian")
    try:
        return Model.with_spectrum(numbers("input_spectrum", spectrum, NUMBERS["entries"]), model.alpha)
    except ValueError as error:
        raise ValueError(f"input_spectrum: {str(error).removeprefix('input_spectrum: ')}") from None


def _data_set(inputs: object, width: object, seed: object) -> DataSet | None:
    if inputs is None:
        if width is not None:
            raise ValueError(f"width: {shown(width)} is the width of networks that inputs go through; there are none")
        return None
    if width is None:
        raise ValueError("width: None is not a whole number from 1, which inputs need")
    units = whole_number("width", width, WIDEST_DRAWN)
    table = numbers("inputs", inputs, NUMBERS["entries"])
    drawn = whole_number("seed", seed, MOST_SEED, least=0)
    try:
        return DataSet.of(table, units, drawn)
    except ValueError as error:
        raise ValueError(f"inputs: {str(error).removeprefix('inputs ')}") from None


def _model(widths: object, alpha: object, data: DataSet | None) -> Model:
    if data is not None and (widths is not None or alpha is not None):
        raise ValueError(f"{'widths' if widths is not None else 'alpha'}: the width is that of all layers already")
    if widths is None and alpha is None:
        return Model(data=data) if data else SQUARE
    if widths is not None and alpha is not None:
        raise ValueError("alpha: the widths give the ratios already")
    if alpha is not None:
        ratios = np.atleast_1d(numbers("alpha", listed(alpha), NUMBERS["alpha"]))
        if ratios.ndim != 1 or ratios.size == 0:
            raise ValueError(f"alpha: {shown(alpha)} is not a sequence of numbers")
        return _of_ratios("alpha", tuple(ratios.tolist()))
    units = whole_numbers("widths", widths, WIDEST)
    if units.size < 2:
        raise ValueError(f"widths: {shown(widths)} is not a sequence of two integers or more, each at least 1")
    return _of_ratios("widths", ratios_of(units.tolist()))


def _of_ratios(argument: str, ratios: tuple[float, ...]) -> Model:
    if len(ratios) > DEEPEST:
        raise ValueError(f"{argument}: {len(ratios)} layers are more than {DEEPEST}")
    return Model(ratios)
