"""Work that no exception may leave in the middle, and requests to stop that come meanwhile."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_depth = 0


def is_uninterruptible() -> bool:
    """Say whether an exception that is raised now, by the handler of a signal, would get lost or break something."""
    return _depth > 0


@contextlib.contextmanager
def uninterruptible() -> Iterator[None]:
    """Let Python's own answer to Ctrl-C, KeyboardInterrupt, wait until the block has ended.

    Other handlers stay and can ask `is_uninterruptible`. Signals are handled by the main thread alone, so in other
    threads nothing has to wait.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_held = False

    def hold(signum: int, frame: FrameType | None) -> None:
        nonlocal is_held
        is_held = True

    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if raises:
        signal.signal(signal.SIGINT, hold)
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if raises:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if is_held:
            signal.raise_signal(signal.SIGINT)
