"""Waiting for what another thread or process does, for as long as a busy machine needs."""

import time
from collections.abc import Callable

import pytest

MOST_SECONDS = 60.0


def until(condition: Callable[[], object]) -> None:
    """Return as soon as something is true."""
    end = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)


def printed_until(capsys: pytest.CaptureFixture[str], text: str) -> tuple[str, str]:
    """Return standard output and error, as soon as a text stands in the latter."""
    out = err = ""
    end = time.monotonic() + MOST_SECONDS
    while text not in err:
        assert time.monotonic() < end, f"{text!r} does not come, but {err!r}"
        time.sleep(0.01)
        more = capsys.readouterr()
        out, err = out + more.out, err + more.err
    return out, err
