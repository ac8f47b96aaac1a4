"""The references: ``python -m mfmi.cli.reference [commands|columns|config] > docs/commands.md``.

Commands are made of the same help that -h shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from mfmi.cli.command import CONTEXT_SETTINGS
from mfmi.cli.main import COMMANDS, cli
from mfmi.cli.reference_tables import columns_page, config_page

WIDTH = 80
EXIT_CODES = {
    "0": "Success, also if the reader of a pipe closes it.",
    "1": "A bug in mfmi.",
    "2": "Invalid command line.",
    "3": "Invalid config; every error is reported with its line and column.",
    "4": "With --strict: rows are failed or unconverged (else 0, and an error line if all are). "
    "Otherwise: a number cannot be computed to its accuracy.",
    "5": "A file cannot be read or written, or exists already.",
    "6": "The output to be resumed belongs to another config or other versions.",
}
ENVIRONMENT = {
    "NO_COLOR": "No colour, unless --color says otherwise.",
    "FORCE_COLOR": "Colour in pipes and files too, unless --color or NO_COLOR says otherwise.",
    "TERM": "No colour if `dumb`.",
    "COLUMNS": "Width of tables.",
    "MFMI_CACHE_DIR": "Folder of cached tables and machine code, not writable for others; if empty, nothing is cached.",
    "MFMI_DEBUG": "With 1 errors come with their traceback.",
}


def page() -> str:
    """Return the reference in Markdown, the same on every terminal."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Commands\n"
    yield "Made by `make docs` of what `-h` says.\n"
    yield "| command | what it does |"
    yield "|---|---|"
    yield from (f"| [`mfmi {name}`](#mfmi-{name}) | {short_help} |" for name, (_, short_help) in COMMANDS.items())
    yield ""
    yield from _sections(cli, "mfmi", None, 2)
    yield "## Exit codes\n"
    yield from _table("code", EXIT_CODES)
    yield "\nA process ended by SIGINT or SIGTERM dies by that signal.\n"
    yield "## Environment\n"
    yield from _table("variable", ENVIRONMENT)
    yield ""


def _sections(command: click.Command, name: str, parent: click.Context | None, level: int) -> Iterator[str]:
    """Show the help of a command, then of the commands that it has itself."""
    settings: dict[str, Any] = CONTEXT_SETTINGS | {"terminal_width": WIDTH}
    with click.Context(command, info_name=name, parent=parent, color=False, **settings) as context:
        yield f"{'#' * level} {context.command_path}\n"
        yield f"```text\n{click.unstyle(command.get_help(context)).strip()}\n```\n"
        if isinstance(command, click.Group):
            for word in command.list_commands(context):
                found = command.get_command(context, word)
                assert found is not None
                yield from _sections(found, word, context, level if parent is None else level + 1)


def _table(head: str, entries: dict[str, str]) -> Iterator[str]:
    yield f"| {head} | meaning |"
    yield "|---|---|"
    yield from (f"| {entry} | {' '.join(meaning.split())} |" for entry, meaning in entries.items())


if __name__ == "__main__":
    pages: dict[str, Callable[[], str]] = {"commands": page, "columns": columns_page, "config": config_page}
    sys.stdout.write(pages[sys.argv[1] if len(sys.argv) > 1 else "commands"]())
