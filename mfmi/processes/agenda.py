"""The order in which the chunks of a sweep are started, and started again when their worker is lost."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable

ATTEMPTS = 2


class Agenda:
    """Order in which chunks are started.

    Parameters
    ----------
    numbers
        Numbers of the chunks, ascending; read one at a time. An iterator that has ended is asked again, and may go on.
    window
        Chunks are only started while they are less than this ahead of the oldest unfinished one, so that a reader who
        wants them in order holds no more than `window`. None is no limit.
    """

    def __init__(self, numbers: Iterable[int], window: int | None) -> None:
        self._numbers = iter(numbers)
        self._again: deque[int] = deque()
        self._ahead: deque[int] = deque()
        self._running: set[int] = set()
        self._losses: Counter[int] = Counter()
        self._window = window

    def start(self) -> int | None:
        """Take the next chunk, or None if there is none or it would be too far ahead."""
        if self._again:
            number = self._again.popleft()
        else:
            if not self._ahead:
                self._ahead.extend(itertools.islice(self._numbers, 1))
            if not self._ahead:
                return None
            if self._window and self._running and self._ahead[0] - min(self._running) >= self._window:
                return None
            number = self._ahead.popleft()
        self._running.add(number)
        return number

    def finish(self, number: int) -> None:
        """Note that a chunk is done."""
        self._running.discard(number)

    def lose(self, number: int) -> bool:
        """Note that a chunk was lost with its worker; return whether it is to be tried again."""
        self._losses[number] += 1
        if self._losses[number] >= ATTEMPTS:
            return False
        self._running.discard(number)
        self._again.append(number)
        return True
