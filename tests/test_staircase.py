"""The rooms of docs/design.md: a module imports only from rooms above its own; heavy packages stay at home."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "mfmi").rglob("*.py"))
DOORS = {"mfmi/__init__.py", "mfmi/__main__.py"}  # they only pass on what is asked for

_ROOM = re.compile(r"^( {6}| {8})(\w+)(?:\.py|/) ")


def rooms() -> dict[str, list[str]]:
    """Names of the rooms from the top of the list to its end; under a room's name those of its parts."""
    found: dict[str, list[str]] = {"": []}
    for line in (ROOT / "docs" / "design.md").read_text().splitlines():
        if line.startswith("    studies/"):
            break
        if match := _ROOM.match(line):
            indent, name = match.groups()
            if len(indent) == 6:
                found[""].append(name)
            else:
                found.setdefault(found[""][-1], []).append(name)
    return found


@dataclass(frozen=True)
class Import:
    name: str
    line: int
    at_top: bool
    for_types: bool


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse((ROOT / path).read_text())

    def visit(node: ast.AST, at_top: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, at_top, for_types) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: relative import"
                names = [child.module or ""]
                if child.module == "mfmi":
                    names = [f"mfmi.{alias.name}" for alias in child.names]
                yield from (Import(name, child.lineno, at_top, for_types) for name in names)
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                for statement in child.body:
                    yield from visit(ast.Module([statement], []), at_top, True)
                for statement in child.orelse:
                    yield from visit(ast.Module([statement], []), at_top, for_types)
            else:
                inner = at_top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(child, inner, for_types)

    yield from visit(tree, True, False)


def place(parts: tuple[str, ...], known: dict[str, list[str]]) -> tuple[int, int]:
    """Floor of a module, and that of its part of the room: -1 where the list does not have them or the room is one."""
    own = parts[0].removesuffix(".py")
    inside = parts[1].removesuffix(".py") if len(parts) > 1 else ""
    floor = known[""].index(own) if own in known[""] else -1
    return floor, known.get(own, []).index(inside) if inside in known.get(own, []) else -1


def test_the_list_of_rooms_is_read() -> None:
    found = rooms()
    assert found[""][0] == "errors"
    assert found[""][-1] == "cli"
    assert len(found[""]) == len(set(found[""]))
    assert set(found) == {"", "channels", "chain"}


def test_every_module_has_its_room() -> None:
    known = rooms()
    missing = {str(path) for path in MODULES if str(path) not in DOORS and place(path.parts[1:], known)[0] < 0}
    assert not missing, f"not in docs/design.md: {sorted(missing)}"


def test_every_part_of_a_room_with_parts_is_listed() -> None:
    parts = {room: set(names) for room, names in rooms().items() if room}
    inside = {room: {path.parts[2].removesuffix(".py") for path in MODULES if path.parts[1] == room} for room in parts}
    assert {room: names - {"__init__"} for room, names in inside.items()} == parts


@pytest.mark.parametrize("path", [path for path in MODULES if str(path) not in DOORS], ids=str)
def test_imports_go_up(path: Path) -> None:
    known = rooms()
    own, part = place(path.parts[1:], known)
    wrong = []
    for found in imports(path):
        if not found.name.startswith("mfmi."):
            continue
        floor, other = place(tuple(found.name.split(".")[1:]), known)
        if floor > own or floor < 0 or (floor == own and 0 <= part < other):
            wrong.append(f"{path}:{found.line}: {found.name}")
    assert not wrong, f"imports from below {path.parts[1]}, or from a room that is not in docs/design.md"


HEAVY = {
    "click": ("mfmi/cli/",),
    "rich": ("mfmi/cli/",),
    "pyarrow": ("mfmi/storage/", "mfmi/api/", "mfmi/report/", "mfmi/cli/"),
    "pandas": ("mfmi/storage/", "mfmi/api/", "mfmi/report/", "mfmi/cli/", "mfmi/meanfield/_table.py"),
}
# A result becomes a data frame only where one is asked for.
ON_DEMAND_AT = {"mfmi/meanfield/_table.py": {"pandas"}}
ON_DEMAND = {"matplotlib", "bokeh", "dask", "distributed", "torch", "sklearn", "numba"}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_heavy_packages_stay_where_they_belong(path: Path) -> None:
    wrong = []
    for found in imports(path):
        package = found.name.split(".")[0]
        if found.for_types:
            continue
        if package in HEAVY and not str(path).startswith(HEAVY[package]):
            wrong.append(f"{path}:{found.line} imports {package}")
        if package in ON_DEMAND | ON_DEMAND_AT.get(str(path), set()) and found.at_top:
            wrong.append(f"{path}:{found.line} imports {package} before it is needed")
    assert not wrong


@pytest.mark.parametrize(
    ("statement", "light_without"),
    [
        ("import mfmi", {"numpy", "pandas", "click", "scipy"}),
        ("import mfmi.cli.main", {"numpy", "pandas", "rich", "scipy", "pyarrow"}),
        ("import mfmi; mfmi.activation('tanh')(0.5)", {"pandas", "pyarrow", "click", "rich"}),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(statement: str, light_without: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*set({sorted(light_without)!r}).intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
