"""Brackets on the true information of wide networks where no exact law and no independent program gives it.

Nested Monte Carlo at three widths, extrapolated by the 1/n trend; the error holds the scatter between networks and what
the smallest width changes in the extrapolation. `python tests/data/problems/monte_carlo.py [NAME]`
measures one case, or all that monte_carlo.json beside it lacks, and writes that file. Minutes per case.
"""

import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mfmi.activations import get
from mfmi.simulate import NetworkLaw, average, fit_trend, measure_information, over_networks

RESULT = Path(__file__).with_suffix(".json")
NETWORKS = {4: 120, 8: 60, 16: 40}


@dataclass(frozen=True)
class Case:
    activation: str
    depth: int
    sigma_w2: float
    sigma_b2: float
    noise2: float
    noise_at: str = "output"
    weights: str = "gaussian"
    input_variance: float = 1.0


CASES = {
    "gelu": Case("gelu", 2, 2.0, 0.1, 0.3),
    "sign": Case("sign", 2, 1.5, 0.3, 0.5),
    "abs": Case("abs", 2, 1.0, 0.1, 0.3),
    "sin": Case("sin", 2, 2.0, 0.0, 0.4, weights="orthogonal"),
    "biased_tanh": Case("tanh", 3, 2.0, 0.3, 0.3, weights="orthogonal"),
    "large_input": Case("tanh", 2, 1.5, 0.0, 0.3, input_variance=4.0),
    "noisy_tanh": Case("tanh", 3, 1.6, 0.1, 0.2, "every"),
    "noisy_hard_tanh": Case("hard_tanh", 2, 1.5, 0.2, 0.3, "every", "orthogonal"),
    "noisy_relu": Case("relu", 2, 2.0, 0.1, 0.3, "every"),
    "elu": Case("elu", 3, 1.4, 0.1, 0.3),
    "biased_relu": Case("relu", 3, 1.8, 0.2, 0.3, weights="orthogonal"),
}


def measure(case: Case) -> dict[str, float]:
    averages = {"low": [], "high": []}
    for width, networks in NETWORKS.items():
        law = NetworkLaw(
            get(case.activation),
            (width,) * (case.depth + 1),
            np.sqrt(case.sigma_w2),
            np.sqrt(case.sigma_b2),
            np.sqrt(case.noise2),
            case.noise_at,
            case.weights,
            case.input_variance,
        )
        brackets = over_networks(partial(measure_information, outer=64, inner=1024), law, networks, 0)
        averages["low"].append(average(bracket.lower for bracket in brackets))
        averages["high"].append(average(bracket.upper for bracket in brackets))
    found = {}
    for side, values in averages.items():
        widths = list(NETWORKS)
        trend, without = fit_trend(widths, values), fit_trend(widths[1:], values[1:])
        error = np.hypot(trend.standard_error, trend.value - without.value)
        found |= {side: round(trend.value, 5), f"{side}_error": round(float(error), 5)}
        found[f"{side}_by_width"] = [round(float(value.mean), 5) for value in values]
    return found


def main() -> None:
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in sys.argv[1:] or [name for name in CASES if name not in results]:
        results[name] = asdict(CASES[name]) | measure(CASES[name])
        RESULT.write_text(json.dumps(results, indent=1) + "\n")
        print(name, results[name], flush=True)


if __name__ == "__main__":
    main()
