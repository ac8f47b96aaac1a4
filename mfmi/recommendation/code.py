"""A recommended initialisation as code that runs as pasted, for each of `mfmi.names.LIBRARIES`."""

from __future__ import annotations

from mfmi.errors import ArgumentError
from mfmi.recommendation import _jax_code, _keras_code, _numpy_code, _place_code, _torch_code
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
        takes the names of the layers that end a branch and, where the first matrix has a scale of its own, of the
        layers that read the input. It says on standard error where the model has norms that the network has not, or
        none where that has some.

    Raises
    ------
    ValueError
        The code cannot say where a scale of the network belongs.
    """
    if isinstance(recommendation, StreamRecommendation):
        return _code_of_stream(recommendation, library)
    network, best = recommendation.network, recommendation.best
    for name in ("branch", "branch_matrices", "sigma_w_out", "sigma_b_out"):
        if network.structure.get(name) not in (None, 1.0):
            raise ArgumentError("emit", library, f"writes code of stacks of layers and of streams: leave `{name}` out")
    what = "linearly readable information" if best.quantity == "linear" else f"information by {best.quantity}"
    kept = ", gradients kept," if recommendation.gradients == "kept" else ""
    summary = f"{best.value:.4g} {network.unit} per input dimension with {_noise(network)}; {best.phase} phase."
    text = _drawn(network, library, best.sigma_w, best.sigma_b)
    first = _first(network, best.sigma_w, best.sigma_b)
    if first:
        after = (_place_code.NAMED | _place_code.LAYERS)[library]
        text = _placed(text, after, library, first, {})
    return f'"""Most {what}{kept} for {_named(network)}.\n\n{summary}\n"""\n\n{text}'


def _first(network: NetworkFamily, sigma_w: float, sigma_b: float) -> dict[str, str]:
    """Constants of the first matrix, where it has a scale of its own."""
    own = network.structure
    if not ({"sigma_w_in", "sigma_b_in"} & set(own)):
        return {}
    ratio = own.get("sigma_w_in", sigma_w) / sigma_w
    return {
        "IN": f"{ratio!r}  # standard deviation of the first weights over that of the others",
        "BIAS_IN": f"{float(own.get('sigma_b_in', sigma_b))!r}  # of the first biases",
    }


def _placed(text: str, after: str, library: str, first: dict[str, str], ends: dict[str, str]) -> str:
    """The code that draws all weights, and what scales layers by their place."""
    groups, parameters, about, said = [], [], [], []
    if ends:
        groups.append("(ends, BRANCH * OUT, BRANCH * BIAS_OUT)")
        parameters.append("ends=()")
        about.append("`ends` names the layers whose output is added to the stream,")
        missing = "no branch is scaled: ends names the layers whose output is added to the stream"
        said.append(f'    say_names(ends, found, "{missing}")')
    if first:
        groups.append("(first, IN, BIAS_IN)")
        parameters.append("first=()")
        about.append("`first` names the layers that read the input,")
        missing = "no layer has the scale of the first: first names the layers that read the input"
        said.append(f'    say_names(first, found, "{missing}")')
    values = {
        "CONSTANTS": "\n".join(f"{name} = {value}" for name, value in (ends | first).items()),
        "GROUPS": f"({', '.join(groups)}{',' if len(groups) == 1 else ''})",
        "PARAMETERS": ", ".join(parameters),
        "NAMES": "\n    ".join(about),
        "SAY": "\n".join(said),
        "FIRST": _FIRST[library] if first and library in _FIRST else "",
    }
    for name, value in values.items():
        after = after.replace(f"@{name}@", value)
    text = text.replace("def initialise(", "def draw_all(")
    if "itertools." in after:
        text = f"import itertools\n{text}"
    return text.rstrip() + "\n\n" + after


# Of libraries without layers: the scale of the first.
_FIRST = dict.fromkeys(("jax", "numpy"), "    first = [rescaled(other, first[0], IN, BIAS_IN)]\n")


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
    matrices = int(network.structure.get("branch_matrices", 1))
    norm = network.structure.get("normalization", "none")
    skip = f"{network.structure['skip']:g}"
    ratio = network.structure.get("hidden_ratio", 1.0)
    values = {
        "BLOCK": _place_code.block_of(
            "" if norm == "none" else norm, network.structure.get("norm_at", "activation"), matrices, skip
        ),
        "DEPTH": str(network.depth),
        "COUNT": str(network.depth - 1),
        "WIDTHS": "width, width" if matrices == 1 else f"width, round({ratio:g} * width), width",
    }
    ends = {
        "BRANCH": f"{best.scale!r}  # factor of a branch: it is on the weights and biases of the layer that ends it",
        "OUT": f"{found.sigma_w_out / found.sigma_w!r}  # standard deviation of those weights over that of the others",
        "BIAS_OUT": f"{found.sigma_b_out!r}  # of those biases, without the factor",
    }
    after = (_place_code.NAMED | _place_code.STREAMS)[library]
    for name, value in values.items():
        after = after.replace(f"@{name}@", value)
    drawn = _of_skips(_drawn(network, library, found.sigma_w, found.sigma_b))
    if "operator." not in drawn:
        drawn = drawn.replace("import operator\n", "").replace("import torch.fx\n", "")
    kept = f"{100.0 * best.kept:.3g} % of what the first layer tells"
    head = (
        f'"""Weights and branch scale for {_named(network)}, skip {skip}.\n\n'
        f"{best.value:.4g} {network.unit} per input dimension are linearly readable with {_noise(network)}:\n{kept}.\n"
        '"""\n\n'
    )
    return head + _placed(drawn, after, library, _first(network, found.sigma_w, found.sigma_b), ends)


def _named(network: NetworkFamily) -> str:
    norm = network.structure.get("normalization", "none")
    words = "" if norm == "none" else f", {norm}"
    if network.convolution is not None:
        words += f", convolution over {'x'.join(map(str, network.convolution.positions))} positions"
    return f"{network.activation.name}, {network.depth} layers, {network.weights} weights{words}"


def _noise(network: NetworkFamily) -> str:
    where = "in every layer" if network.noise_at == "every" else "at the output"
    share = " of the signal" if network.structure.get("noise_scale") == "relative" else ""
    size = network.sigma_noise if isinstance(network.sigma_noise, str) else f"{network.sigma_noise:g}"
    return f"noise {size}{share} {where}"
