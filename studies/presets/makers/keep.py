"""Shared by the makers: where a layer is saved, and the list of what was saved.

The makers run where their library is installed, which need not be where mfmi is; they import nothing of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

MANIFEST = "saved.jsonl"


def version_of(distribution: str) -> str:
    """Return the installed version of a distribution."""
    return metadata.version(distribution)


class Row:
    """One row of the table while its layer is saved."""

    def __init__(self, keeper: Keeper, name: str, version: str) -> None:
        self.keeper, self.name, self.version = keeper, name, version

    def path(self, suffix: str) -> Path:
        """A path of this row's own."""
        return self.keeper.folder / f"{self.name}@{self.version}{suffix}"

    def saved(self, saver: str, path: Path, tensors: str | list[str]) -> None:
        """Note that a file holds the layer, and under which names."""
        names = [tensors] if isinstance(tensors, str) else list(tensors)
        self.keeper.note(name=self.name, version=self.version, saver=saver, file=str(path), tensors=names)


class Keeper:
    """The folder that layers are saved in.

    Parameters
    ----------
    folder
        Where; it has a list of what it holds.
    seed
        Of the draws.
    only
        Libraries that are asked for; all without.
    """

    def __init__(self, folder: Path, seed: int, only: list[str]) -> None:
        self.folder, self.seed, self.only = folder, seed, only
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def of_command(cls) -> Keeper:
        """Read the command line of a maker."""
        parser = argparse.ArgumentParser()
        parser.add_argument("folder", type=Path)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--only", nargs="*", default=[])
        given = parser.parse_args()
        return cls(given.folder, given.seed, given.only)

    def wants(self, name: str, library: str) -> bool:
        """Whether a row is asked for."""
        return not self.only or library in self.only or name in self.only

    def note(self, **entry: object) -> None:
        """Add a line to the list."""
        with open(self.folder / MANIFEST, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    @contextmanager
    def row(self, name: str, version: str) -> Iterator[Row]:
        """Save the layer of a row; what goes wrong with it is noted, and the next one has its turn."""
        try:
            yield Row(self, name, version)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            self.note(name=name, version=version, error=text)
            print(f"{name}: {text}", file=sys.stderr)
