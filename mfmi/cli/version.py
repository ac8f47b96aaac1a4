"""``mfmi version``: what computes the numbers."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from mfmi.cli.command import command as make_command
from mfmi.names import __version__

PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "click", "rich", "PyYAML", "matplotlib", "dask", "numba")


@make_command(name="version", examples=("mfmi version", "mfmi --version"))
def command() -> None:
    """Show the versions of mfmi, Python and the packages that mfmi computes with."""
    click.echo(f"mfmi {__version__}")
    click.echo(f"python {platform.python_version()} ({platform.system()} {platform.machine()})")
    for package in PACKAGES:
        try:
            click.echo(f"{package} {version(package)}")
        except PackageNotFoundError:
            click.echo(f"{package} not installed")
