#!/usr/bin/env bash
# JAX 0.10.2: in float16 gelu's slope is NaN, squareplus infinite and soft_sign's slope 250 times too large at x = 256.
#
# Expected: gelu(x) = x with slope 1, squareplus(x) = x, squareplus(-x) = 1 / x and soft_sign'(x) = (1 + |x|)^-2 at
#   large x, all of which float16 (largest number 65,504) holds at x = 300, and which come out right in float32.
# Behaviour: powers of x on the way leave float16. jax.nn.gelu, whose default is the tanh form, keeps its value and has
#   a NaN slope from |x| = 173 at the latest; squareplus is inf on both sides from 256 on, with a slope of 1/2;
#   soft_sign's slope is 4e-3 at 255, where 1.5e-5 is right. No warning. gelu(approximate=False) and bfloat16 are right;
#   keras.ops on jax shares gelu_tanh and squareplus (on torch squareplus alone).
# Why it matters: at sigma_w = 2 units of 10 layers reach 250. Value and loss are finite; all gradients of the first
#   layers are NaN, and a loss scale that is lowered on NaN ends at 0 without any gain. It is read as an exploding
#   gradient. What to do: approximate=False, or cast to float32 around these functions.
# Output seen:
#   gelu: slope 1 at 100, nan at 200, nan at -200; exact form 1; value at 200 is 200
#   squareplus: 255 at 255, inf at 256, inf at -256, slope 0.5 at 256
#   soft_sign: slope 0.0039 at 255, in float32 1.5e-05
#   sigma_w = 2, gelu: largest unit 251, NaN in the gradients 0.91; exact form 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

exact, half = partial(jax.nn.gelu, approximate=False), jnp.float16


def slope(function, at, kind=half):
    return float(jax.grad(function)(kind(at)))


small, large, minus = (slope(jax.nn.gelu, at) for at in (100, 200, -200))
right, value = slope(exact, 200), float(jax.nn.gelu(half(200)))
print(f"gelu: slope {small:g} at 100, {large} at 200, {minus} at -200; exact form {right:g}; value at 200 is {value:g}")
assert small == right == 1 and np.isnan([large, minus]).all() and value == 200
assert slope(jax.nn.gelu, 200, jnp.bfloat16) == 1 and np.isnan(slope(jax.nn.gelu, 173))

below, above, minus = (float(jax.nn.squareplus(half(at))) for at in (255, 256, -256))
bend = slope(jax.nn.squareplus, 256)
print(f"squareplus: {below:g} at 255, {above} at 256, {minus} at -256, slope {bend:g} at 256")
assert below == 255 and above == minus == np.inf and bend == 0.5

seen, right = slope(jax.nn.soft_sign, 255), slope(jax.nn.soft_sign, 255, jnp.float32)
print(f"soft_sign: slope {seen:.2g} at 255, in float32 {right:.2g}")
assert seen > 200 * right and abs(right * 256**2 - 1) < 1e-3

rng = np.random.default_rng(0)
weights = [jnp.asarray(rng.standard_normal((256, 256)) * 2 / 16, half) for _ in range(10)]
inputs = jnp.asarray(rng.standard_normal((16, 256)), half)


def outputs(act, weights):
    x = inputs
    for matrix in weights:
        x = act(x @ matrix)
    return x


share = {}
for act in (jax.nn.gelu, exact):
    gradients = jax.grad(lambda weights, act=act: outputs(act, weights).mean(dtype="float32"))(weights)
    share[act] = float(np.mean(np.isnan(gradients)))
largest = float(jnp.abs(outputs(jax.nn.gelu, weights)).max())
print(
    f"sigma_w = 2, gelu: largest unit {largest:.0f}, NaN in the gradients {share[jax.nn.gelu]:.2f}; "
    f"exact form {share[exact]:.2f}"
)
assert largest > 173 and share[jax.nn.gelu] > 0.5 and share[exact] == 0
PYTHON
echo "as described"
