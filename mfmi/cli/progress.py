"""Progress of a command: a bar on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.terminal import Terminal, terminal
from mfmi.processes.progress import LINE_EVERY, PATIENCE, Stage, running, stage, text_of

if TYPE_CHECKING:
    from mfmi.processes.progress import Progress


class ProgressDisplay:
    """Shows on standard error what it is called with, once the work takes longer than a second.

    A thread of its own does the drawing, so that time goes on while a chunk takes long.

    Parameters
    ----------
    settings
        -q shows nothing.
    """

    def __init__(self, settings: Terminal) -> None:
        self._settings = settings
        self._latest: Progress | None = None
        self._first: Progress | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __call__(self, progress: Progress) -> None:
        """Take note of how far it is."""
        if self._first is None or progress.kind != self._first.kind:
            self._first = progress
        self._latest = progress

    def __enter__(self) -> ProgressDisplay:
        """Begin to wait for the first second to pass."""
        if not self._settings.quiet and sys.stderr is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wipe the bar."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _show(self) -> None:
        if self._done.wait(PATIENCE):
            return
        if sys.stderr.isatty():
            self._show_bar()
        else:
            self._show_lines()

    def _show_lines(self) -> None:
        while not self._done.wait(LINE_EVERY):
            click.echo(f"mfmi: {self._text()}", err=True)

    def _show_bar(self) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
        from rich.table import Column

        # What does not fit is cut: a second line would jump.
        text = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
        columns: tuple[Any, ...] = (BarColumn(bar_width=20), text, TimeElapsedColumn())
        with _visible(), Bar(*columns, console=self._settings.console(sys.stderr), transient=True, expand=True) as bar:
            task = bar.add_task("", total=None)
            while True:
                done, total = self._share()
                bar.update(task, description=self._text(), completed=done, total=total)
                if self._done.wait(0.2):
                    return

    def _share(self) -> tuple[float, float | None]:
        """Amount done, and that of all: of what reports, else of the outermost work that knows."""
        if self._latest is not None:
            return self._latest.chunks_done, self._latest.n_chunks
        known = next((one for one in running() if one.total), None)
        return (0.0, None) if known is None else (known.done, known.total)

    def _text(self) -> str:
        return text_of(self._latest, self._first)


_bars: list[None] = []


@contextlib.contextmanager
def _visible() -> Iterator[None]:
    """Note that there is a bar on the terminal, and no cursor."""
    _bars.append(None)
    try:
        yield
    finally:
        _bars.pop()


def wipe() -> None:
    """Wipe the bar and bring the cursor back, for a program that ends without leaving its blocks."""
    if _bars and sys.stderr is not None:
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), b"\r\x1b[2K\x1b[?25h")


@contextlib.contextmanager
def showing(name: str, total: float | None = None, unit: str = "") -> Iterator[Stage]:
    """Show one piece of work of the running command, and whatever goes on within it.

    Parameters
    ----------
    name, total, unit
        As of `mfmi.processes.progress.Stage`, which is given to be told how far it is.
    """
    with ProgressDisplay(terminal()), stage(name, total, unit) as work:
        yield work
