"""Progress of a Python call: told to a function, or written on standard error."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import TextIO

from mfmi.arguments.checks import flag
from mfmi.processes.progress import (
    LINE_EVERY,
    PATIENCE,
    PROGRESS_INTERVAL,
    OnProgress,
    Progress,
    running,
    text_of,
    watching,
)


class _Reports:
    """The first and the latest report of the stage that is at work."""

    def __init__(self) -> None:
        self._first: Progress | None = None
        self._latest: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Take note of how far it is."""
        if self._first is None or progress.kind != self._first.kind:
            self._first = progress
        self._latest = progress


class Watch(_Reports):
    """Tells a function how far the work of this thread is, whenever that changes, at most every `PROGRESS_INTERVAL`.

    What a `Clock` reports goes first. Where none does, the outermost work that says how much of it there is stands for
    all; what is long within it is in the words of the report.
    """

    def __init__(self, on_progress: OnProgress) -> None:
        super().__init__()
        self._on_progress = on_progress
        self._began = self._told = time.monotonic()
        self._thread = threading.get_ident()

    def __call__(self, progress: Progress) -> None:
        """Pass a report on."""
        super().__call__(progress)
        self._tell(replace(progress, words=text_of(progress, self._first)))

    def notice(self, over: bool) -> None:
        """Report, unless that was done just now; the end of the outermost work always."""
        if threading.get_ident() != self._thread:
            return
        stages = running()
        shown = next((one for one in stages if one.total), stages[0])
        ends = over and self._latest is None and shown is stages[-1]
        if not ends and time.monotonic() - self._told < PROGRESS_INTERVAL:
            return
        seconds = time.monotonic() - self._began
        if self._latest is not None:
            self._tell(replace(self._latest, seconds=seconds, words=text_of(self._latest, self._first)))
            return
        done, total, unit = float(ends), 1.0, "stages"
        if shown.total:
            done, total, unit = shown.done, shown.total, shown.unit
            if not unit:
                done, total, unit = 100.0 * done / total, 100.0, "%"
        self._tell(Progress(shown.name, int(done), int(total), 0, seconds, unit, text_of(None, None)))

    def _tell(self, progress: Progress) -> None:
        self._told = time.monotonic()
        self._on_progress(progress)


class ProgressLine(_Reports):
    """Says on standard error what it is called with, once the work takes longer than a second; clears it at the end.

    On a terminal and in a notebook one line is written over; elsewhere there is a line every half minute. A thread of
    its own does it, so that time goes on while a part takes long, and what goes on within a part is seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self._width = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> ProgressLine:
        """Begin to wait for the first second to pass."""
        if sys.stderr is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wipe the line."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _show(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a standard error that was closed meanwhile
            self._write(sys.stderr)

    def _write(self, out: TextIO) -> None:
        writes_over = out.isatty() or "ipykernel" in sys.modules
        wait, last = PATIENCE if writes_over else LINE_EVERY, ""
        while not self._over.wait(wait):
            text = f"mfmi: {text_of(self._latest, self._first)}"
            if writes_over:
                # A notebook that is executed by a program keeps every line that is written over.
                wait = PROGRESS_INTERVAL if out.isatty() else PATIENCE
                if text == last:
                    continue
                last = text
                room = shutil.get_terminal_size().columns - 1 if out.isatty() else len(text)
                text = text[:room]
                out.write(f"\r{text:<{self._width}}")
                self._width = len(text)
            else:
                out.write(f"{text}\n")
            out.flush()
        if self._width:
            out.write(f"\r{' ' * self._width}\r")
            out.flush()


@contextlib.contextmanager
def reporting(progress: bool | OnProgress) -> Iterator[OnProgress | None]:
    """Report on what is done in the context to a function, for True on standard error, or to nobody.

    Yields
    ------
    callable or None
        For a `Clock`.
    """
    if callable(progress):
        watch = Watch(progress)
        with watching(watch.notice):
            yield watch
    elif flag("progress", False if progress is None else progress):
        with ProgressLine() as line:
            yield line
    else:
        yield None
