"""The entry point: a table of commands, each loaded only when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from mfmi.cli import exits
from mfmi.cli.command import Group, group
from mfmi.cli.terminal import Terminal
from mfmi.names import __version__
from mfmi.processes.threads import ask_for_one_thread

# name -> (module, short help); the module has the command as `command`.
COMMANDS = {
    "bound": ("mfmi.cli.bound", "Information through one network, layer by layer."),
    "sweep": ("mfmi.cli.sweep", "A grid of networks: config in, Parquet and summary out."),
    "merge": ("mfmi.cli.merge", "The shares of a divided sweep put together."),
    "phase": ("mfmi.cli.phase", "Fixed points, phases, depth scales and the edge of chaos."),
    "plot": ("mfmi.cli.plot", "A sweep as a figure: PNG, SVG, PDF, or characters in the terminal."),
    "recommend": ("mfmi.cli.recommend", "The initialisation that carries most information, and code for it."),
    "show": ("mfmi.cli.show", "The summary of a finished or partial sweep; its rows, filtered and sorted."),
    "verify": ("mfmi.cli.verify", "Theory beside finite random networks, measured."),
    "isometry": ("mfmi.cli.isometry", "The Jacobian's singular values, and how far they are from an isometry."),
    "capacity": ("mfmi.cli.capacity", "The most that an architecture can carry, and which layer limits it."),
    "audit": ("mfmi.cli.audit", "The layers of a checkpoint: their laws, and what is off."),
    "inits": ("mfmi.cli.inits", "What libraries really start with, measured."),
    "config": ("mfmi.cli.config", "Check, expand and begin the configs of sweeps."),
    "completion": ("mfmi.cli.completion", "The completion script for bash, zsh or fish."),
    "version": ("mfmi.cli.version", "The version of mfmi and of what it computes with."),
}


class LazyGroup(Group):
    """The group of all commands; its help reads the table and imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name, if there is one."""
        if cmd_name not in COMMANDS:
            return None
        found = import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help) for name, (_, short_help) in COMMANDS.items()])


@group(
    cls=LazyGroup,
    name="mfmi",
    examples=("mfmi bound --act tanh --sw 1.5", "mfmi sweep configs/edge_of_chaos.yaml -o build/eoc.parquet"),
)
@click.version_option(__version__, message="mfmi %(version)s")
def cli() -> None:
    """Information that a random network carries about its input, layer by layer, before any training.

    Bounds on the mutual information between the input and each layer of a wide random network, in nats per input
    dimension, with the mean-field phases that explain them.
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with the exit code of the contract."""
    arguments = list(sys.argv[1:] if args is None else args)
    settings = Terminal(arguments=tuple(arguments))
    ask_for_one_thread()

    def program() -> None:
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.append(os.getcwd())  # activations of one's own: module:function
        if "_MFMI_COMPLETE" in os.environ:
            from click.shell_completion import shell_complete

            raise click.exceptions.Exit(
                shell_complete(cli, {"obj": settings}, "mfmi", "_MFMI_COMPLETE", os.environ["_MFMI_COMPLETE"])
            )
        with settings.warnings_shown(), cli.make_context("mfmi", arguments, obj=settings) as context:
            cli.invoke(context)

    exits.run(program, settings)
