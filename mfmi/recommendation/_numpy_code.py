"""Code for numpy."""

TEMPLATE = '''import numpy as np

SIGMA_W = @SIGMA_W@
SIGMA_B = @SIGMA_B@


def initialise(widths, seed=0):
    """Weights and biases of layers, each used as phi(x) @ weights + biases; widths start with that of the input."""
    rng = np.random.default_rng(seed)
    layers = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:]):
@DRAW@
        layers.append((weights, rng.normal(0.0, SIGMA_B, fan_out)))
    return layers
'''

DRAW = {
    "gaussian": "        weights = rng.normal(0.0, SIGMA_W / np.sqrt(fan_in), (fan_in, fan_out))",
    "orthogonal": """        tall = rng.normal(size=(max(fan_in, fan_out), min(fan_in, fan_out)))
        q, r = np.linalg.qr(tall)
        q = q * np.sign(np.diag(r))  # uniform over all orthogonal matrices
        weights = (q if fan_in >= fan_out else q.T) * SIGMA_W * max(1.0, fan_out / fan_in) ** 0.5""",
}
