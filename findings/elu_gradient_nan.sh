#!/usr/bin/env bash
# mlx 0.32.4, tinygrad 0.14.0: the slope of elu is NaN at large positive inputs, where it is 1; the value is right.
#
# Expected: elu(x) = x and elu'(x) = 1 at every x > 0 that the number format holds, as in torch and jax.
# Behaviour: the gradient runs through exp(x), which the positive side does not use: 0 times infinity. It is NaN above
#   88.7 in float32 and, in mlx, above 11.1 in float16, without a warning; tinygrad's celu and selu have the same fault
#   (tinygrad mended it after this release).
# Why it matters: the forward pass is finite and right, and one such unit makes the whole gradient NaN. At sigma_w = 2,
#   in the chaotic phase, units of 10 layers reach 180: no weight has a finite gradient at the first step; in float16
#   that happens at sigma_w = 1.5, on inputs of variance 1. It looks like an exploding gradient, where the exact one is
#   moderate. What to do: where(x > 0, x, exp(minimum(x, 0)) - 1).
# Output seen:
#   mlx float32: slope 1 at 88, nan at 89, value at 89 is 89
#   mlx float16: slope 1 at 11, nan at 12, value at 12 is 12
#   tinygrad: slope of elu, celu and selu at 88 1.00, 1.00 and 1.05; at 89 nan, nan and nan
#   sigma_w = 1.5, float32: largest unit 14.8, NaN in the gradients 0.00, with minimum 0.00
#   sigma_w = 1.5, float16: largest unit 14.8, NaN in the gradients 0.91, with minimum 0.00
#   sigma_w = 2, float32: largest unit 182.8, NaN in the gradients 0.93, with minimum 0.00
#   sigma_w = 2, float32, with minimum: root mean square of the entries of the first gradient 0.052
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  mlx==0.32.4 mlx-cpu==0.32.4 tinygrad==0.14.0 numpy==2.4.6
export MLX_DISABLE_COMPILE=1 XDG_CACHE_HOME="$folder" DEV=PYTHON
"$folder/venv/bin/python" - <<'PYTHON'
import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from tinygrad import Tensor

mx.set_default_device(mx.cpu)
slope = mx.grad(lambda x: nn.elu(x).sum())
for kind, low, high in ((mx.float32, 88, 89), (mx.float16, 11, 12)):
    below, above, value = slope(mx.array([low], kind)), slope(mx.array([high], kind)), nn.elu(mx.array([high], kind))
    name = str(kind).split(".")[-1]
    below, above, value = below.item(), above.item(), value.item()
    print(f"mlx {name}: slope {below:g} at {low}, {above:g} at {high}, value at {high} is {value:g}")
    assert below == 1 and math.isnan(above) and value == high
seen = []
for at in (88.0, 89.0):
    for name in ("elu", "celu", "selu"):
        x = Tensor([at])
        getattr(x, name)().sum().backward()
        seen.append(float(x.grad.numpy()[0]))
print("tinygrad: slope of elu, celu and selu at 88 {:.2f}, {:.2f} and {:.2f}; at 89 {}, {} and {}".format(*seen))
assert np.allclose(seen[:3], [1, 1, 1.0507]) and np.isnan(seen[3:]).all()


def safe(x):
    return mx.where(x > 0, x, mx.exp(mx.minimum(x, 0)) - 1)


def gradients(act, sigma_w, kind, n=256, depth=10):
    keys = mx.random.split(mx.random.key(0), depth + 1)
    weights = [(mx.random.normal((n, n), key=key) * sigma_w / n**0.5).astype(kind) for key in keys[1:]]
    inputs = mx.random.normal((16, n), key=keys[0]).astype(kind)

    def outputs(weights):
        x = inputs
        for matrix in weights:
            x = act(x @ matrix)
        return x.astype(mx.float32)

    grads = mx.grad(lambda weights: outputs(weights).mean())(weights)
    return float(mx.abs(outputs(weights)).max()), [np.asarray(grad.astype(mx.float32)) for grad in grads]


for sigma_w, kind, bad in ((1.5, mx.float32, False), (1.5, mx.float16, True), (2.0, mx.float32, True)):
    largest, grads = gradients(nn.elu, sigma_w, kind)
    _, right = gradients(safe, sigma_w, kind)
    share, safe_share = float(np.isnan(grads).mean()), float(np.isnan(right).mean())
    name = str(kind).split(".")[-1]
    print(
        f"sigma_w = {sigma_w:g}, {name}: largest unit {largest:.1f}, "
        f"NaN in the gradients {share:.2f}, with minimum {safe_share:.2f}"
    )
    assert safe_share == 0 and (share > 0.8 if bad else share == 0)
size = float(np.sqrt(np.square(right[0]).mean()))
print(f"sigma_w = 2, float32, with minimum: root mean square of the entries of the first gradient {size:.2g}")
assert size < 1
PYTHON
echo "as described"
