"""``mfmi completion``: what makes the shell finish words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mfmi.cli.command import command as make_command
from mfmi.cli.options import Word


@make_command(
    name="completion",
    examples=('eval "$(mfmi completion bash)"', "mfmi completion fish > ~/.config/fish/completions/mfmi.fish"),
)
@click.argument("shell", type=Word(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, files and activations.

    For every new shell put the first example into ~/.bashrc, with zsh into ~/.zshrc; fish finds the file of the second
    by itself.
    """
    from mfmi.cli.main import cli

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(cli, {}, "mfmi", "_MFMI_COMPLETE").source())
