#!/usr/bin/env bash
# scikit-learn 1.9.1: the mutual information of data far from zero vanishes, though it does not depend on the origin.
#
# Expected: mutual_info_regression(x + m, y + m) is that of x and y as long as double precision holds x: 1,000 Gaussian
#   pairs of correlation 0.9 (0.830 nats) keep within 0.1 of it up to m = 1e12, as they do when their means are
#   subtracted again.
# Behaviour: the data are divided by their standard deviation but not centred, and get noise of 1e-10 of their mean
#   absolute value. From a mean of 1e9 standard deviations on that noise takes the information, without a warning.
# Why it matters: in the ordered phase with biases all inputs go to one point of activation space, so mean over standard
#   deviation grows geometrically with depth. In a tanh network of sigma_w = 0.5, sigma_b = 1 the estimate between a
#   scalar input and a unit falls from 5 to 0 at layer 22, where the centred unit still gives 5: the fall looks like a
#   law of the network. What to do: subtract the mean first; dividing by the standard deviation is done already.
# Output seen:
#   m = 0: 0.819, centred first 0.819
#   m = 1e+08: 0.813, centred first 0.819
#   m = 1e+10: 0.135, centred first 0.819
#   m = 1e+12: 0.000, centred first 0.819
#   layer 5: mean over standard deviation 6e+00: 5.16, centred first 5.16
#   layer 15: mean over standard deviation 2e+07: 5.20, centred first 5.43
#   layer 22: mean over standard deviation 1e+12: 0.00, centred first 5.41
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from sklearn.feature_selection import mutual_info_regression

rng = np.random.default_rng(0)


def estimate(x, y, centre):
    if centre:
        x, y = x - x.mean(), y - y.mean()
    return float(mutual_info_regression(x[:, None], y, random_state=0)[0])


x = rng.standard_normal(1000)
y = 0.9 * x + np.sqrt(1 - 0.81) * rng.standard_normal(1000)
for mean in (0.0, 1e8, 1e10, 1e12):
    plain, centred = (estimate(x + mean, y + mean, centre) for centre in (False, True))
    print(f"m = {mean:g}: {plain:.3f}, centred first {centred:.3f}")
    assert abs(centred - 0.830) < 0.05
    assert plain < 0.3 if mean > 1e9 else abs(plain - 0.830) < 0.1

width = 100
units = np.outer(x, rng.standard_normal(width))
for layer in range(1, 23):
    weights = rng.standard_normal((width, width)) * 0.5 / np.sqrt(width)
    units = np.tanh(units @ weights + rng.standard_normal(width))
    if layer in (5, 15, 22):
        unit = units[:, 0]
        ratio = abs(unit.mean()) / unit.std()
        plain, centred = (estimate(unit, x, centre) for centre in (False, True))
        print(f"layer {layer}: mean over standard deviation {ratio:.0e}: {plain:.2f}, centred first {centred:.2f}")
        assert centred > 4.0
        assert plain < 0.1 if layer == 22 else plain > 4.0
PYTHON
echo "as described"
