"""Time and memory of an audit: a transformer of 12 layers beside numpy's singular values alone, and a file of 2 GB.

python tests/benchmarks/audit.py [GIGABYTES]
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from mfmi.checkpoints import audit_files

WIDTH, LAYERS, WORDS = 768, 12, 50_257


def transformer(path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"attn.c_attn": (WIDTH, 3 * WIDTH), "attn.c_proj": (WIDTH, WIDTH)}
    shapes |= {"mlp.c_fc": (WIDTH, 4 * WIDTH), "mlp.c_proj": (4 * WIDTH, WIDTH)}
    tensors: dict[str, Any] = {"wte.weight": rng.normal(0, 0.02, (WORDS, WIDTH)).astype(np.float32)}
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            tensors[f"h.{layer}.{name}.weight"] = rng.normal(0, 0.02, shape).astype(np.float32)
            tensors[f"h.{layer}.{name}.bias"] = np.zeros(shape[1], np.float32)
    safetensors.numpy.save_file(tensors, path)


def large(path: Path, gigabytes: float) -> int:
    """A file of square matrices; they repeat, for the draw would take longer than the audit."""
    matrix = np.random.default_rng(0).normal(0, 0.02, (8192, 8192)).astype(np.float32)
    count = max(1, round(gigabytes * 1e9 / matrix.nbytes))
    safetensors.numpy.save_file({f"{place}.weight": matrix + np.float32(0) for place in range(count)}, path)
    return matrix.nbytes


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transformer.safetensors"
        child = os.fork()  # what writes the files must not count as memory of the audit
        if child == 0:
            transformer(path)
            large(Path(folder) / "large.safetensors", gigabytes)
            os._exit(0)
        os.waitpid(child, 0)
        alone, own = 0.0, np.linalg.svd

        def timed(*arguments: Any, **options: Any) -> Any:
            nonlocal alone
            start = time.process_time()
            found = own(*arguments, **options)
            alone += time.process_time() - start
            return found

        np.linalg.svd = timed  # type: ignore[assignment]
        start = time.process_time()
        found = audit_files([str(path)])
        whole = time.process_time() - start
        print(f"{found.layers[0]} matrices of 124 M numbers: {whole:.1f} s, singular values {alone:.1f} s", end=" ")
        print(f"= {whole / alone:.2f} times")
        before = peak()
        start = time.process_time()
        audit_files([str(Path(folder) / "large.safetensors")], quick=True)
        seconds = time.process_time() - start
        print(f"{gigabytes:g} GB without singular values: {seconds:.1f} s", end=", ")
        print(
            f"peak {peak() / 1e6:.0f} MB (before: {before / 1e6:.0f} MB), largest tensor {8192 * 8192 * 4 / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
