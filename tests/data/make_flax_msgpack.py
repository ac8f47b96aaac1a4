"""The file flax.msgpack, as Flax's own serialization writes it: python tests/data/make_flax_msgpack.py (needs flax).

Arrays of more than a gigabyte are cut by Flax; the limit is lowered to 4096 bytes here, so that one of them is.
"""

from pathlib import Path

import ml_dtypes
import numpy as np

SEED = 0


def arrays() -> dict[str, np.ndarray]:
    """The arrays by name, the same every time."""
    rng = np.random.default_rng(SEED)
    draw = {
        "params/Embed_0/embedding": rng.normal(size=(20, 24)),
        "params/Dense_0/kernel": rng.normal(size=(24, 50)) / np.sqrt(24),
        "params/Dense_0/bias": np.zeros(50),
        "params/Conv_0/kernel": rng.normal(size=(3, 3, 4, 8)) / 6,
    }
    found = {name: value.astype(np.float32) for name, value in draw.items()}
    found["params/Dense_1/kernel"] = (rng.normal(size=(50, 12)) / np.sqrt(50)).astype(ml_dtypes.bfloat16)
    found["opt_state/0/mu/Dense_0/kernel"] = np.full((24, 50), 1e-3, np.float16)
    found["step"] = np.array(7, dtype=np.int32)
    return found


def tree() -> dict[str, object]:
    """The arrays as the tree of a training state."""
    found: dict[str, object] = {}
    for name, value in arrays().items():
        *branches, last = name.split("/")
        here: dict = found
        for branch in branches:
            here = here.setdefault(branch, {})
        here[last] = value
    return found


if __name__ == "__main__":
    from flax import serialization

    serialization.MAX_CHUNK_SIZE = 4096
    Path(__file__).with_name("flax.msgpack").write_bytes(serialization.msgpack_serialize(tree()))
