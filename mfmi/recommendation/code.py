"""A recommended initialisation as code that runs as pasted, for each of `mfmi.names.LIBRARIES`."""

from __future__ import annotations

from mfmi.recommendation import _jax_code, _keras_code, _numpy_code, _torch_code
from mfmi.recommendation.results import Optimum, Recommendation

_TEMPLATES = {
    "torch": (_torch_code.TEMPLATE, _torch_code.DRAW),
    "jax": (_jax_code.JAX, _jax_code.DRAW),
    "linen": (_jax_code.LINEN, _jax_code.DRAW),
    "nnx": (_jax_code.NNX, _jax_code.DRAW),
    "equinox": (_jax_code.EQUINOX, _jax_code.DRAW),
    "keras": (_keras_code.TEMPLATE, _keras_code.DRAW),
    "numpy": (_numpy_code.TEMPLATE, _numpy_code.DRAW),
}


def code(recommendation: Recommendation, library: str) -> str:
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
        A module with a function ``initialise``; its first line says what it is for.
    """
    network, best = recommendation.network, recommendation.best
    template, draw = _TEMPLATES[library]
    values = {"SIGMA_W": repr(best.sigma_w), "SIGMA_B": repr(best.sigma_b), "DRAW": draw[network.weights]}
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return f'"""{_summary(recommendation, best)}"""\n\n{template}'


def _summary(recommendation: Recommendation, best: Optimum) -> str:
    network = recommendation.network
    where = "in every layer" if network.noise_at == "every" else "at the output"
    what = "linearly readable information" if best.quantity == "linear" else f"information by {best.quantity}"
    return (
        f"Most {what} for {network.activation.name}, {network.depth} layers, {network.weights} weights.\n\n"
        f"{best.value:.4g} {network.unit} per input dimension with noise {network.sigma_noise:g} {where}; "
        f"{best.phase} phase.\n"
    )
