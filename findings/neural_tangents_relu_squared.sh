#!/usr/bin/env bash
# neural-tangents 0.6.5, jax 0.4.30: the kernels of RectifiedMonomial are NaN on the diagonal; those of Relu are not.
#
# Expected: k(x, x) of max(x, 0)^degree is q^degree (2 degree - 1)!! / 2: q / 2 at degree 1, which is Relu, and
#   3 q^2 / 2 at degree 2.
# Behaviour: of 500 inputs of 30 dimensions 490 have NaN as their k(x, x), 439 in float64 (JAX_ENABLE_X64), at degrees
#   0 to 3, in the NNGP kernel and from degree 1 on in the NTK, without an error. Off the diagonal nothing is missing,
#   but close to a correlation of 1 the NTK's factor E[phi' phi'] of relu^2 is 1 % too small in float32.
# Why it matters: a relu^2 network has no training kernel, as a kernel of a set with itself needs its diagonal. What to
#   do: fill the diagonal in from the formula above, in float64; degree 1 is stax.Relu.
# Output seen:
#   float32: NaN on the diagonal at degree 0, 1, 2, 3: 490, 490, 490, 490 of 500, elsewhere 0; Relu 0
#   float32: E[phi' phi'] of relu^2 at c = 0.99999: 1.9796 for 2.0000
#   float64: NaN on the diagonal at degree 0, 1, 2, 3: 439, 439, 439, 439 of 500, elsewhere 0; Relu 0
#   float64: E[phi' phi'] of relu^2 at c = 0.99999: 2.0000 for 2.0000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check neural-tangents==0.6.5 jax==0.4.30 \
  jaxlib==0.4.30 tensorflow==2.21.0 tf2jax==0.3.6 ml_dtypes==0.5.4 frozendict==2.5.1 numpy==1.26.4 scipy==1.17.1
cat > "$folder/kernels.py" <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np
from neural_tangents import stax

double = jax.config.jax_enable_x64
kind = "float64" if double else "float32"
inputs = jax.random.normal(jax.random.key(0), (500, 30))


def missing(activation):
    kernel = stax.serial(stax.Dense(1), activation)[2](inputs, None, ("nngp", "ntk"))
    absent = np.isnan(np.asarray(kernel.nngp))
    assert (absent <= np.isnan(np.asarray(kernel.ntk))).all() or activation is step
    return int(np.diag(absent).sum()), int(absent.sum() - np.diag(absent).sum())


step = stax.RectifiedMonomial(0)
diagonal, elsewhere = zip(*(missing(a) for a in (step, *map(stax.RectifiedMonomial, (1, 2, 3)))))
relu = sum(missing(stax.Relu()))
print(
    f"{kind}: NaN on the diagonal at degree 0, 1, 2, 3: {', '.join(map(str, diagonal))} of 500,",
    f"elsewhere {sum(elsewhere)}; Relu {relu}",
)
assert min(diagonal) > 300 and sum(elsewhere) == relu == 0

c = 0.99999
pair = jnp.array([[1.0, 0.0], [c, np.sqrt(1 - c * c)]]) * np.sqrt(2.0)
kernel = stax.serial(stax.Dense(1), stax.RectifiedMonomial(2))[2](pair, None, ("nngp", "ntk"))
seen = float(kernel.ntk[0, 1]) / c
exact = 2 / np.pi * (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c)
print(f"{kind}: E[phi' phi'] of relu^2 at c = {c}: {seen:.4f} for {exact:.4f}")
assert abs(seen - exact) < 1e-6 if double else abs(seen - exact) > 0.005
PYTHON
for double in 0 1; do
  JAX_ENABLE_X64=$double JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=3 \
    "$folder/venv/bin/python" "$folder/kernels.py" 2> "$folder/log" || { cat "$folder/log" >&2; exit 1; }
done
echo "as described"
