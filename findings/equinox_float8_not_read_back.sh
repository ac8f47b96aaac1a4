#!/usr/bin/env bash
# equinox 0.13.8, jax 0.10.2: a float8 model is saved without an error and cannot be loaded again; bfloat16 can.
#
# Expected: tree_deserialise_leaves gives back what tree_serialise_leaves wrote, or the saving refuses.
# Behaviour: a layer in bfloat16 comes back exactly. In float8_e4m3fn, float8_e5m2, int4, float4_e2m1fn and
#   float8_e8m0fnu saving succeeds and loading into the same layer raises. The type is not in the file: float8_e4m3fn,
#   int4 and float8_e8m0fnu say "|V1", float8_e5m2 says "<f1", which numpy does not read at all.
# Why it matters: it is noticed when the model is needed. The bytes are whole: np.frombuffer after each header, with the
#   type from memory, rescues them. What to do: save as bfloat16 or float32, which hold every float8 number, or with
#   orbax, which returns all of these types.
# Output seen:
#   bfloat16: 400 bytes saved, read back the same
#   float8_e4m3fn: 328 bytes saved, not read back: RuntimeError
#   float8_e5m2: 328 bytes saved, not read back: TreePathError
#   int4: 328 bytes saved, not read back: RuntimeError
#   float4_e2m1fn: 328 bytes saved, not read back: RuntimeError
#   float8_e8m0fnu: 328 bytes saved, not read back: RuntimeError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  equinox==0.13.8 jax==0.10.2 jaxlib==0.10.2 ml_dtypes==0.6.0 numpy==2.4.6
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import io

import equinox as eqx
import jax
import jax.numpy as jnp

layer = eqx.nn.Linear(8, 8, key=jax.random.key(0))
for kind in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "float4_e2m1fn", "float8_e8m0fnu"):
    model = jax.tree.map(lambda leaf: leaf.astype(kind), layer, is_leaf=eqx.is_array)
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, model)
    size = file.tell()
    file.seek(0)
    try:
        same = eqx.tree_equal(eqx.tree_deserialise_leaves(file, model), model)
        seen = "read back the same" if same else "read back different"
    except Exception as error:  # equinox wraps the reader's errors in classes of its own
        seen = f"not read back: {type(error).__name__}"
    print(f"{kind}: {size} bytes saved, {seen}")
    assert seen == "read back the same" if kind == "bfloat16" else seen.startswith("not read back")
PYTHON
echo "as described"
