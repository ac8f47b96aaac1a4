#!/usr/bin/env bash
# paddlepaddle 3.3.1 (CPU): the slope of silu is -inf or NaN below -87, where it is 0; that of swish is right.
#
# Expected: silu'(x) = s (1 + x (1 - s)), s = 1 / (1 + exp(-x)), tends to 0 from below and is under 1e-35 at x = -87.
# Behaviour: the value is right everywhere. The gradient of silu in float32 is -inf at -87 to -88 and NaN below, in
#   float64 beyond -706; celu's is NaN above 88.7. swish and elu, the same functions under other names, are right. Known
#   upstream for -709 in float64.
# Why it matters: the forward pass shows nothing, and one unit below -88 makes all gradients NaN. At sigma_w = 2 the
#   units of 10 layers reach -170. A report of NaN gradients at initialisation is then read as an exploding gradient.
#   What to do: swish in place of silu, elu in place of celu.
# Output seen:
#   x = -80: silu -1.4e-33, slope -1.4e-33; swish -1.4e-33, slope -1.4e-33
#   x = -87: silu -1.4e-36, slope -inf; swish -1.4e-36, slope -1.4e-36
#   x = -100: silu -0, slope nan; swish -0, slope 0
#   x = 100: celu 1e+02, slope nan; elu 1e+02, slope 1
#   sigma_w = 1.5: least unit -6, NaN in the gradients: silu 0.00, swish 0.00
#   sigma_w = 2: least unit -172, NaN in the gradients: silu 0.91, swish 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check paddlepaddle==3.3.1 numpy==2.4.6
HOME="$folder" "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import math

import paddle
import paddle.nn.functional as F

paddle.set_device("cpu")


def seen(function, at):
    x = paddle.to_tensor(at, dtype="float32", stop_gradient=False)
    y = function(x)
    y.backward()
    return float(y), float(x.grad)


for at in (-80.0, -87.0, -100.0, 100.0):
    one, other = ("silu", "swish") if at < 0 else ("celu", "elu")
    (value, slope), (right, right_slope) = seen(getattr(F, one), at), seen(getattr(F, other), at)
    print(f"x = {at:g}: {one} {value:.2g}, slope {slope:.2g}; {other} {right:.2g}, slope {right_slope:.2g}")
    assert math.isclose(value, right, rel_tol=1e-5) and abs(right_slope - (at > 0)) < 1e-30
    assert math.isfinite(slope) if at == -80 else slope == -math.inf if at == -87 else math.isnan(slope)


def network(act, sigma_w, n=256, depth=10):
    paddle.seed(0)
    weights = [paddle.randn([n, n]) * sigma_w / n**0.5 for _ in range(depth)]
    x, least = paddle.randn([16, n]), 0.0
    for matrix in weights:
        matrix.stop_gradient = False
        before = x @ matrix
        x, least = act(before), min(least, float(before.min()))
    x.mean().backward()
    return least, sum(float(paddle.isnan(matrix.grad).astype("float32").mean()) for matrix in weights) / depth


for sigma_w in (1.5, 2.0):
    (least, share), (_, right) = network(F.silu, sigma_w), network(F.swish, sigma_w)
    print(f"sigma_w = {sigma_w:g}: least unit {least:.0f}, NaN in the gradients: silu {share:.2f}, swish {right:.2f}")
    assert right == 0 and (share == 0 if sigma_w < 2 else share > 0.8 and least < -89)
PYTHON
echo "as described"
