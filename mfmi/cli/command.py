"""Base of all commands: examples first in the help, colour and verbosity options, suggestions for misspelt words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import click

from mfmi.cli.terminal import COLOR_CHOICES, Terminal
from mfmi.errors import did_you_mean

CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _set_color(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Terminal).color = value


def _set_quiet(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Terminal).quiet = True


def _add_verbosity(context: click.Context, _: click.Parameter, value: int) -> None:
    context.ensure_object(Terminal).verbosity += value


def _common_options() -> list[click.Parameter]:
    """Return the options that are accepted before and after the name of a command."""
    return [
        click.Option(
            ["--color"],
            type=click.Choice(COLOR_CHOICES),
            expose_value=False,
            is_eager=True,
            callback=_set_color,
            help="Colour; overrides NO_COLOR and FORCE_COLOR.  [default: auto]",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_quiet,
            help="No progress and no notes.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            is_eager=True,
            callback=_add_verbosity,
            help="Say more; -vv shows tracebacks.",
        ),
    ]


def broken(example: str, width: int = 78) -> list[str]:
    """Break an example before its options into lines that fit a terminal and still run as they are pasted."""
    lines, line = [], " "
    # What stands within quotes stays together.
    for part in re.findall(r"(?:'[^']*'|\S)+(?: (?!-)(?:'[^']*'|[^\s&])+)*", example):
        if len(line) + 1 + len(part) > width - 2 and line.strip():
            lines.append(f"{line} \\")
            line = "   "
        line += f" {part}"
    return [*lines, line]


class Command(click.Command):
    """A command whose help opens with examples."""

    examples: Sequence[str] = ()

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then what click writes."""
        if self.examples:
            formatter.write_text("Examples:")
            formatter.write("".join(f"{line}\n" for example in self.examples for line in broken(example)))
            formatter.write_paragraph()
        super().format_help(ctx, formatter)


class Group(Command, click.Group):
    """A command with commands of its own."""

    command_class: type[click.Command] | None = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command named first in `args`; suggest the nearest for an unknown one."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and name not in self.list_commands(ctx):
            names = self.list_commands(ctx)
            hint = did_you_mean(name, names) or f" Commands: {', '.join(names)}."
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def command(*, examples: Sequence[str], name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command.

    Parameters
    ----------
    examples
        Command lines that run as they stand, at least two; the help opens with them.
    name
        The command's name if it is not the function's.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        made = click.command(name=name, cls=Command, context_settings=CONTEXT_SETTINGS)(function)
        made.examples = tuple(examples)
        made.params.extend(_common_options())
        return made

    return decorate


def group(
    *, examples: Sequence[str], name: str | None = None, cls: type[Group] = Group
) -> Callable[[Callable[..., Any]], Group]:
    """Make a function a group of commands; add to it with ``the_group.add_command(a_command)``."""

    def decorate(function: Callable[..., Any]) -> Group:
        made = click.group(name=name, cls=cls, context_settings=CONTEXT_SETTINGS)(function)
        made.examples = tuple(examples)
        made.params.extend(_common_options())
        return made

    return decorate
