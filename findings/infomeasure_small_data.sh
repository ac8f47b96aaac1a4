#!/usr/bin/env bash
# infomeasure 0.6.3: the mutual information of small numbers vanishes, though it does not depend on their unit.
#
# Expected: the information between s x and s y is that between x and y for every s. Nearest-neighbour and Renyi
#   estimates of 1,000 Gaussian pairs of correlation 0.9 (0.830 nats) stay within 0.1 of it.
# Behaviour: noise of standard deviation 1e-10 is added to the data whatever their size (noise_level, on by default). At
#   s = 1e-10 and below nearly all information is gone, without a warning; with noise_level=0 it is all there.
# Why it matters: activations of a network in the ordered phase shrink geometrically with depth: at sigma_w = 0.5 they
#   are below 1e-10 after 34 linear layers. What information they hold is then not seen, and the fall of the estimate
#   with depth looks like a law of the network. What to do: divide by the standard deviation first, or noise_level=0.
# Output seen (the noise is drawn anew in each run, and with it the digits of the last two lines):
#   s = 1: metric 0.820, renyi 0.793, metric without noise 0.820
#   s = 1e-06: metric 0.819, renyi 0.819, metric without noise 0.820
#   s = 1e-10: metric 0.119, renyi 0.041, metric without noise 0.820
#   s = 1e-12: metric 0.015, renyi -0.034, metric without noise 0.820
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check infomeasure==0.6.3 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import infomeasure
import numpy as np

rng = np.random.default_rng(0)
x = rng.standard_normal(1000)
y = 0.9 * x + np.sqrt(1 - 0.81) * rng.standard_normal(1000)


def estimate(size, approach, **options):
    return float(infomeasure.mutual_information(size * x, size * y, approach=approach, base="e", **options))


for size in (1.0, 1e-6, 1e-10, 1e-12):
    metric, renyi = estimate(size, "metric"), estimate(size, "renyi", alpha=1.0)
    plain = estimate(size, "metric", noise_level=0)
    print(f"s = {size:g}: metric {metric:.3f}, renyi {renyi:.3f}, metric without noise {plain:.3f}")
    assert abs(plain - 0.830) < 0.05
    if size < 1e-9:
        assert metric < 0.3 and abs(renyi) < 0.2
    else:
        assert abs(metric - 0.830) < 0.1 and abs(renyi - 0.830) < 0.1
PYTHON
echo "as described"
