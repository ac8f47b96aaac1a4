"""A recommended initialisation as code that runs as pasted, for each of `mfmi.names.LIBRARIES`."""

from __future__ import annotations

from mfmi.errors import ArgumentError
from mfmi.recommendation import _jax_code, _keras_code, _numpy_code, _stream_code, _torch_code
from mfmi.recommendation.branches import StreamRecommendation
from mfmi.recommendation.results import NetworkFamily, Recommendation

# What the code of plain networks says of norms, after their number.
WITHOUT = "norms: these numbers are for networks without"

_TEMPLATES = {
    "torch": (_torch_code.TEMPLATE, _torch_code.DRAW),
    "jax": (_jax_code.JAX, _jax_code.DRAW),
    "linen": (_jax_code.LINEN, _jax_code.DRAW),
    "nnx": (_jax_code.NNX, _jax_code.DRAW),
    "equinox": (_jax_code.EQUINOX, _jax_code.DRAW),
    "keras": (_keras_code.TEMPLATE, _keras_code.DRAW),
    "numpy": (_numpy_code.TEMPLATE, _numpy_code.DRAW),
}


def code(recommendation: Recommendation | StreamRecommendation, library: str) -> str:
    """Source code of the recommended initialisation.

    Parameters
    ----------
    recommendation
        What to write down.
    library
        Among `mfmi.names.LIBRARIES`.

    Returns
    -------
    str
        A module with a function ``initialise``; its first line says what it is for. Of a residual network that function
        takes the names of the layers that end a branch. It says on standard error where the model has norms that the
        network has not, or none where that has some.

    Raises
    ------
    ValueError
        The code cannot say where a scale of the network belongs.
    """
    if isinstance(recommendation, StreamRecommendation):
        return _code_of_stream(recommendation, library)
    network, best = recommendation.network, recommendation.best
    what = "linearly readable information" if best.quantity == "linear" else f"information by {best.quantity}"
    summary = f"{best.value:.4g} {network.unit} per input dimension with {_noise(network)}; {best.phase} phase."
    text = _drawn(network, library, best.sigma_w, best.sigma_b)
    return f'"""Most {what} for {_named(network)}.\n\n{summary}\n"""\n\n{text}'


def _drawn(network: NetworkFamily, library: str, sigma_w: float, sigma_b: float) -> str:
    """The code that draws all weights and biases with two standard deviations."""
    template, draw = _TEMPLATES[library]
    values = {"SIGMA_W": repr(sigma_w), "SIGMA_B": repr(sigma_b), "DRAW": draw[network.weights]}
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    norm = network.structure.get("normalization", "none")
    if norm != "none":
        template = template.replace("    if norms:\n", "    if not norms:\n")
        template = template.replace(
            f'f"{{norms}} {WITHOUT}"', f'"no norms: these numbers are for networks with {norm}"'
        )
    return template


def _of_skips(drawn: str) -> str:
    """The code without what it says of skips, which residual networks have."""
    start, end = drawn.find("def sums("), drawn.find("@torch.no_grad()\ndef draw_all")
    if 0 <= start < end:
        drawn = drawn[:start] + drawn[end:]
    start = drawn.find("    skips = ")
    return drawn if start < 0 else drawn[:start] + drawn[drawn.index("    return model", start) :]


def _code_of_stream(found: StreamRecommendation, library: str) -> str:
    network, best = found.network, found.best
    for name in ("sigma_w_in", "sigma_b_in", "sigma_b_out"):
        if name in network.structure:
            raise ArgumentError("emit", library, f"writes code that knows no layer by its place: leave `{name}` out")
    matrices = int(network.structure.get("branch_matrices", 1))
    norm = network.structure.get("normalization", "none")
    skip = f"{network.structure['skip']:g}"
    ratio = network.structure.get("hidden_ratio", 1.0)
    values = {
        "BLOCK": _stream_code.block_of(
            "" if norm == "none" else norm, network.structure.get("norm_at", "activation"), matrices, skip
        ),
        "BRANCH": repr(best.scale),
        "OUT": repr(found.sigma_w_out / found.sigma_w),
        "DEPTH": str(network.depth),
        "COUNT": str(network.depth - 1),
        "WIDTHS": "width, width" if matrices == 1 else f"width, round({ratio:g} * width), width",
    }
    after = _stream_code.AFTER[library]
    for name, value in values.items():
        after = after.replace(f"@{name}@", value)
    drawn = _drawn(network, library, found.sigma_w, found.sigma_b).replace("def initialise(", "def draw_all(")
    drawn = _of_skips(drawn)
    if "operator." not in drawn:
        drawn = drawn.replace("import operator\n", "").replace("import torch.fx\n", "")
    kept = f"{100.0 * best.kept:.3g} % of what the first layer tells"
    head = (
        f'"""Weights and branch scale for {_named(network)}, skip {skip}.\n\n'
        f"{best.value:.4g} {network.unit} per input dimension are linearly readable with {_noise(network)}:\n{kept}.\n"
        '"""\n\n'
    )
    return head + drawn.rstrip() + after


def _named(network: NetworkFamily) -> str:
    norm = network.structure.get("normalization", "none")
    words = "" if norm == "none" else f", {norm}"
    return f"{network.activation.name}, {network.depth} layers, {network.weights} weights{words}"


def _noise(network: NetworkFamily) -> str:
    where = "in every layer" if network.noise_at == "every" else "at the output"
    share = " of the signal" if network.structure.get("noise_scale") == "relative" else ""
    size = network.sigma_noise if isinstance(network.sigma_noise, str) else f"{network.sigma_noise:g}"
    return f"noise {size}{share} {where}"
