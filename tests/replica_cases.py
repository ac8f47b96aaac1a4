"""Values of the public replica code, and which of them are of square layers with a normal input."""

import json
from pathlib import Path

CASES = json.loads((Path(__file__).parent / "data" / "replica.json").read_text())["cases"]
NAMES = {"ReLU": "relu", "HardTanh": "hard_tanh", "LeakyReLU": "leaky_relu(0.1)", "Probit": "sign"}


def is_square_and_normal(case):
    *hidden, (last, *_) = case["layers"]
    kinds, alphas, scales = zip(*case["weights"], strict=True)
    return (
        case["prior"] == ["Normal", 0.0, 1.0]
        and last == "Linear"
        and len({layer[0] for layer in hidden}) == 1
        and hidden[0][0] in NAMES
        and all(layer[1] == 0.0 for layer in hidden)
        and set(alphas) == {1.0}
        and len(set(kinds)) == len(set(scales)) == 1
    )


SQUARE = [case for case in CASES if is_square_and_normal(case)]
