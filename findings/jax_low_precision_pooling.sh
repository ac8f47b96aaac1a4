#!/usr/bin/env bash
# jax 0.10.2, dm-haiku 0.0.17: in bfloat16 avg_pool over 56 x 56 is half, over 112 x 112 a fifth of the mean.
#
# Expected: the mean of a window to 1 %, as jax.numpy.mean has it in bfloat16 too, where it adds in float32.
# Behaviour: haiku.avg_pool and jax.ops.segment_sum add in the format of the data, and the sum stops growing where a
#   term is less than half a step: near 256 times a term in bfloat16, 2048 in float16, without a warning.
#   flax.linen.avg_pool loses a few per cent.
# Why it matters: a global average over the positions of an image, or a sum over the neighbours of a node, is a layer of
#   its own in a signal's propagation; its output is 5 times too small, and its square, the q of theory, 25 times.
#   What to do: mean() over the axes, or pool in float32 and cast. (`mfmi` does not model pooling.)
# Output seen:
#   bfloat16                  16 x 16    56 x 56  112 x 112
#   haiku.avg_pool              0.993      0.530      0.203
#   jax.ops.segment_sum         0.993      0.530      0.203
#   flax.linen.avg_pool         0.993      0.954      0.937
#   jax.numpy.mean              1.002      0.999      1.000
#   float16                   16 x 16    56 x 56  112 x 112
#   haiku.avg_pool              0.998      0.994      0.986
#   jax.ops.segment_sum         0.998      0.994      0.825
#   flax.linen.avg_pool         0.998      0.999      1.000
#   jax.numpy.mean              1.000      1.000      1.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 dm-haiku==0.0.17 numpy==2.4.6
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

pools = {
    "haiku.avg_pool": lambda x, n: hk.avg_pool(x[None, :, :, None], (1, n, n, 1), (1, n, n, 1), "VALID"),
    "jax.ops.segment_sum": lambda x, n: jax.ops.segment_sum(x.ravel(), jnp.zeros(n * n, int), 1) / (n * n),
    "flax.linen.avg_pool": lambda x, n: nn.avg_pool(x[None, :, :, None], (n, n)),
    "jax.numpy.mean": lambda x, n: x.mean(),
}
sizes = (16, 56, 112)
for dtype in (jnp.bfloat16, jnp.float16):
    print(f"{dtype.dtype.name:22}", *(f"{n} x {n}".rjust(10) for n in sizes))
    ratios = {}
    for name, pool in pools.items():
        for n in sizes:
            x = jnp.asarray(np.maximum(np.random.default_rng(0).standard_normal((n, n)), 0), dtype)
            ratios[name, n] = float(np.asarray(pool(x, n)).ravel()[0]) / float(np.asarray(x, np.float64).mean())
        print(f"{name:22}", *(f"{ratios[name, n]:10.3f}" for n in sizes))
    assert all(abs(ratio - 1) < 0.02 for (name, n), ratio in ratios.items() if n == 16 or name == "jax.numpy.mean")
    if dtype == jnp.bfloat16:
        for name in ("haiku.avg_pool", "jax.ops.segment_sum"):
            assert 0.4 < ratios[name, 56] < 0.65 and 0.15 < ratios[name, 112] < 0.3, name
        assert 0.85 < ratios["flax.linen.avg_pool", 112] < 0.98
    else:
        assert 0.7 < ratios["jax.ops.segment_sum", 112] < 0.9
PYTHON
echo "as described"
