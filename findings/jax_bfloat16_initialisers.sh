#!/usr/bin/env bash
# JAX 0.10.2, flax 0.12.8: weights drawn in bfloat16 have a mean, and take 128 values.
#
# Expected: an initialiser with param_dtype bfloat16 draws what it draws in float32 and rounds it: mean 0 within
#   std / sqrt(entries), some thousands of distinct values.
# Behaviour: the uniform number under each draw has 7 random bits and is rounded down, for every key. A truncated normal
#   then has a mean of -0.018 standard deviations (25 standard errors at 2,048 x 1,024 entries), whatever the seed,
#   in jax.nn.initializers as in flax's Dense; largest |entry| and standard deviation look right.
# Why it matters: the mean adds up over the fan-in. With 4,096 inputs after a relu all units of the next layer share an
#   offset of about -0.45, beside a standard deviation of 0.71, and the matrix has a singular value along (1, ..., 1).
#   What to do: draw in float32 and cast. An audit reports the mean of the entries beside sigma_w.
# Output seen:
#   float32   mean/std +0.0005  distinct 1855715
#   bfloat16  mean/std -0.0172  distinct 128
#   float32   mean/std +0.0009  distinct 1854901
#   bfloat16  mean/std -0.0175  distinct 128
#   float32   mean/std +0.0014  distinct 1855087
#   bfloat16  mean/std -0.0179  distinct 128
#   flax      mean/std -0.0167  distinct 128
#   shared offset of 512 units after relu, 4096 inputs: float32 +0.02, bfloat16 -0.45
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 numpy==2.4.6
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def seen(name, weights):
    values = np.asarray(weights).astype(np.float64)
    mean, distinct = values.mean() / values.std(), len(np.unique(values))
    print(f"{name:8s}  mean/std {mean:+.4f}  distinct {distinct}")
    return mean, distinct


draw = jax.nn.initializers.lecun_normal()
for seed in range(3):
    mean, distinct = seen("float32", draw(jax.random.key(seed), (2048, 1024), jnp.float32))
    assert abs(mean) < 0.004 and distinct > 1_000_000
    mean, distinct = seen("bfloat16", draw(jax.random.key(seed), (2048, 1024), jnp.bfloat16))
    assert -0.020 < mean < -0.015 and distinct == 128
dense = nn.Dense(1024, param_dtype=jnp.bfloat16).init(jax.random.key(0), jnp.ones((1, 2048)))
mean, distinct = seen("flax", dense["params"]["kernel"])
assert -0.020 < mean < -0.015 and distinct == 128

inputs = np.maximum(np.random.default_rng(0).standard_normal((64, 4096)), 0.0)
offset = {
    name: float((inputs @ np.asarray(draw(jax.random.key(1), (4096, 512), dtype)).astype(np.float64)).mean())
    for name, dtype in (("float32", jnp.float32), ("bfloat16", jnp.bfloat16))
}
listed = ", ".join(f"{name} {value:+.2f}" for name, value in offset.items())
print("shared offset of 512 units after relu, 4096 inputs:", listed)
assert abs(offset["float32"]) < 0.1 and -0.55 < offset["bfloat16"] < -0.35
PYTHON
echo "as described"
