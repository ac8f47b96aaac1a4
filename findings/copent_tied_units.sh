#!/usr/bin/env bash
# copent 0.5.7: a unit that is off has 2 to 6 nats of information about an input that it does not depend on.
#
# Expected: a constant has no information, and max(z, 0) of a normal z that is independent of x none about x: estimates
#   of 0 to within some 0.1 nats, as for z itself. The copula entropy of continuous data is minus their information.
# Behaviour: ties share one rank, so the samples at which a relu is off lie on a line in the plane of ranks, and the
#   estimator takes their distances for those of a plane. The estimate grows as p log N with the number N of samples
#   for a fraction p of ties, without a warning. Noise is added only where a distance is exactly 0, which ties in one of
#   the two do not make.
# Why it matters: at initialisation half of the activations of a relu are 0, and dead units, or those that saturate in
#   the chaotic phase of tanh, are what one looks for; the estimate says that dead units know most. What to do:
#   log0=True, which always adds noise of 5e-6 of the largest value, before a comparison with the bounds of `mfmi`.
# Output seen:
#   unit               N = 500:    copent  log0=True  N = 2000:    copent  log0=True
#   linear             N = 500:    -0.054     -0.054  N = 2000:    -0.076     -0.076
#   relu               N = 500:     1.770     -0.042  N = 2000:     2.309     -0.035
#   relu, bias -2.3    N = 500:     4.287     -0.145  N = 2000:     5.641     -0.067
#   hard tanh, gain 50 N = 500:     3.321     -0.100  N = 2000:     4.767     -0.041
#   dead               N = 500:     4.363     -0.166  N = 2000:     5.751     -0.025
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check copent==0.5.7 numpy==2.4.6 scipy==1.17.1
OPENBLAS_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import copent
import numpy as np

rng = np.random.default_rng(0)
np.random.seed(0)
sizes = (500, 2000)


def seen(name, unit):
    """Print the estimates for a unit that x does not enter, by number of samples, and return them."""
    found = []
    for n in sizes:
        pairs = np.column_stack([rng.standard_normal(n), unit(rng.standard_normal(n))])
        found.append((float(copent.copent(pairs)), float(copent.copent(pairs, log0=True))))
    print(f"{name:18}", "  ".join(f"N = {n}: {tied:9.3f} {mended:10.3f}" for n, (tied, mended) in zip(sizes, found)))
    assert all(abs(mended) < 0.2 for _, mended in found), name
    return [tied for tied, _ in found]


print(f"{'unit':18}", "  ".join(f"N = {n}:    copent  log0=True" for n in sizes))
assert max(map(abs, seen("linear", lambda z: z))) < 0.2
for name, unit, ties in (
    ("relu", lambda z: np.maximum(z, 0), 0.5),
    ("relu, bias -2.3", lambda z: np.maximum(z - 2.3, 0), 0.99),
    ("hard tanh, gain 50", lambda z: np.clip(50 * z, -1, 1), 0.98),
    ("dead", np.zeros_like, 1.0),
):
    few, many = seen(name, unit)
    assert few > 1.4 and abs(many - few - ties * np.log(sizes[1] / sizes[0])) < 0.5, name
PYTHON
echo "as described"
