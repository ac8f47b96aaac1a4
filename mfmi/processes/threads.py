"""One thread for linear algebra in every process.

Arrays here are too small to share among threads, which would fight over the cores with the threads of other processes,
and the order of a threaded sum is not reproducible.
"""

import os

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Environment variables that numpy's libraries read when they are imported."""

ONE_THREAD = dict.fromkeys(THREAD_LIMITS, "1")


def ask_for_one_thread() -> None:
    """Limit this process to one thread, where the environment does not say otherwise; call before numpy loads."""
    for name in THREAD_LIMITS:
        os.environ.setdefault(name, "1")


def has_one_thread() -> bool:
    """Say whether this process was started with that limit, and so has the arithmetic of others that were."""
    return all(os.environ.get(name) == "1" for name in THREAD_LIMITS)
