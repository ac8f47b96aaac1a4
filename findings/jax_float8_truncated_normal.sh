#!/usr/bin/env bash
# JAX 0.10.2: the default initialiser of flax's Dense, drawn in float8_e4m3fn, is NaN in every entry, without an error.
#
# Expected: float8 weights (a dtype that jax.random accepts) on the format's grid, |entry| up to 2 standard deviations.
# Behaviour: jax.random.truncated_normal(key, -2, 2, shape, float8_e4m3fn) is NaN everywhere, and so are lecun_normal,
#   he_normal and a flax Dense with param_dtype=float8_e4m3fn. jax.random.normal in the same format is finite, but takes
#   8 values with a mean of -0.15 standard deviations.
# Why it matters: a model built in float8 starts from NaN and says so only in its first loss. Draw in float32 and cast.
# Output seen:
#   truncated_normal: NaN 65536 of 65536
#   flax Dense: NaN 65536 of 65536
#   normal: NaN 0 of 65536
#   normal: 8 values, mean/std -0.15
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

key, shape, kind = jax.random.key(0), (256, 256), jnp.float8_e4m3fn


def seen(name, weights):
    values = np.asarray(weights).astype(np.float64)
    print(f"{name}: NaN {np.isnan(values).sum()} of {values.size}")
    return values


assert np.isnan(seen("truncated_normal", jax.random.truncated_normal(key, -2.0, 2.0, shape, kind))).all()
dense = nn.Dense(256, dtype=jnp.float32, param_dtype=kind).init(key, jnp.ones((1, 256)))
assert np.isnan(seen("flax Dense", dense["params"]["kernel"])).all()
plain = seen("normal", jax.random.normal(key, shape, kind))
print("normal:", len(np.unique(plain)), "values, mean/std", round(plain.mean() / plain.std(), 2))
assert len(np.unique(plain)) == 8 and -0.2 < plain.mean() / plain.std() < -0.1
PYTHON
echo "as described"
