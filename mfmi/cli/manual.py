"""The manual page: ``python -m mfmi.cli.manual > mfmi.1``, made of the same help that -h shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from mfmi.cli.command import CONTEXT_SETTINGS, Command
from mfmi.cli.main import cli
from mfmi.names import __version__

EXIT_CODES = {
    "0": "All is well. A reader that closes the pipe is no failure either.",
    "1": "A bug in mfmi.",
    "2": "The command line cannot be.",
    "3": "The config cannot be; every error is reported with its line and column.",
    "4": "With --strict: rows are failed or unconverged (else 0, and an error line if all are). "
    "Otherwise: a number cannot be computed to its accuracy.",
    "5": "A file cannot be read or written, or is in the way.",
    "6": "What is to be resumed belongs to another config or other versions.",
}
ENVIRONMENT = {
    "NO_COLOR": "No colour, unless --color says otherwise.",
    "FORCE_COLOR": "Colour in pipes and files too, unless --color or NO_COLOR says otherwise.",
    "TERM": "With dumb no colour.",
    "COLUMNS": "Width of tables.",
    "MFMI_CACHE_DIR": "Where tables and machine code are kept; empty, nowhere. Others must not be able to write.",
    "MFMI_DEBUG": "With 1 errors come with their traceback.",
}


def page() -> str:
    """Return the manual page in the language of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    context = click.Context(cli, info_name="mfmi", **CONTEXT_SETTINGS)
    summary, _, description = (cli.help or "").partition("\n\n")
    yield f'.TH MFMI 1 "" "mfmi {__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"mfmi \\- {_text(' '.join(summary.split()).rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield ".B mfmi"
    yield _text("[OPTIONS] COMMAND [ARGS]...")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(description)
    yield from _options(cli, context)
    yield ".SH COMMANDS"
    for name in cli.list_commands(context):
        found = cli.get_command(context, name)
        assert isinstance(found, Command)
        yield from _command(found, click.Context(found, info_name=name, parent=context))
    yield ".SH EXIT STATUS"
    yield from _definitions(EXIT_CODES)
    yield _text("A process ended by SIGINT or SIGTERM dies by that signal.")
    yield ".SH ENVIRONMENT"
    yield from _definitions(ENVIRONMENT)


def _command(command: Command, context: click.Context) -> Iterator[str]:
    """Describe a command, and the commands that it has itself."""
    yield f".SS {_text(context.command_path)}"
    yield ".PP"
    yield ".B " + _text(context.command_path)
    yield _text(" ".join(command.collect_usage_pieces(context)))
    yield from _paragraphs(command.help or "")
    yield from _options(command, context)
    yield ".PP"
    yield "Examples:"
    yield ".RS"
    yield ".nf"
    yield from (_text(example) for example in command.examples)
    yield ".fi"
    yield ".RE"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert isinstance(found, Command)
            yield from _command(found, click.Context(found, info_name=name, parent=context))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    yield from _definitions({record[0]: record[1] for record in records if record and record[1]})


def _definitions(entries: dict[str, str]) -> Iterator[str]:
    for term, meaning in entries.items():
        yield from (".TP", f".B {_text(term)}", _text(" ".join(meaning.split())))
    yield ".PP"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.replace("\b", "").split("\n\n"):
        if paragraph.strip():
            yield from (".PP", _text(" ".join(paragraph.split())))


def _text(text: str) -> str:
    """Return text that roff takes literally: no escapes, no requests at the beginning of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write(page())
