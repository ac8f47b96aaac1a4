"""Suggestion of a next command: the last line of a command, for a person at a terminal."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Collection, Iterator
from importlib import import_module

import click

from mfmi.cli.terminal import program, terminal

# Options of how a result is shown and where it goes, which say nothing of the next one.
OF_OUTPUT = ("-o", "--output", "--format", "--force", "--explain", "-q", "--quiet", "-v", "--verbose", "--color")


def following(
    command: str, *arguments: str, same: bool = False, without: Collection[str] = (), remark: str = ""
) -> None:
    """Say on standard error which command comes next, where standard output and error are a terminal, and not with -q.

    Parameters
    ----------
    command
        Its name.
    *arguments
        What stands after the name.
    same
        Whether the options of the running command follow as they were typed, those that the next one has as well.
    without
        Options that do not follow.
    remark
        What the command does, if that does not go without saying.
    """
    streams = (sys.stdout, sys.stderr)
    if terminal().quiet or not all(stream is not None and stream.isatty() for stream in streams):
        return
    words = [command, *arguments]
    if same:
        words += _typed(_options(command).difference(without, OF_OUTPUT))
    line = f"next: {program()} {' '.join(map(_quoted, words))}{f'  # {remark}' if remark else ''}"
    wants_color = terminal().wants_color(sys.stderr)
    click.echo(click.style(line, dim=True) if wants_color else line, err=True, color=wants_color)


def _options(command: str) -> set[str]:
    """The options that a command has."""
    found = import_module(f"mfmi.cli.{command}").command
    return {option for parameter in found.params if isinstance(parameter, click.Option) for option in parameter.opts}


def _typed(wanted: Collection[str]) -> Iterator[str]:
    """The wanted ones of the options on the command line, with their values."""
    known = {option: one for one in click.get_current_context().command.params for option in one.opts}
    words = iter(terminal().arguments)
    for word in words:
        option, equals, _ = word.partition("=")
        if not isinstance(parameter := known.get(option), click.Option):
            continue
        has_value = not (parameter.is_flag or parameter.count or equals)
        value = next(words, None) if has_value else None
        if option in wanted:
            yield word
            if value is not None:
                yield value


def _quoted(word: str) -> str:
    """A word for a shell; redirections and dots that stand for something are left as they are."""
    return word if word in (">", "...") or re.fullmatch(r"[A-Z]+", word) else shlex.quote(word)
