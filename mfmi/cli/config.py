"""``mfmi config``: check, expand and begin the configs of sweeps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.command import group as make_group
from mfmi.cli.following import following
from mfmi.cli.numbers import counted
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.sweep import size_parts
from mfmi.cli.terminal import terminal

if TYPE_CHECKING:
    import numpy as np

    from mfmi.sweep.plan import Plan

Function = TypeVar("Function", bound=Callable[..., Any])

_EXPANDED = (
    "point",
    "activation",
    "weights",
    "noise_at",
    "sigma_w",
    "sigma_b",
    "sigma_noise",
    "input_variance",
    "init",
    "depth",
)


@make_group(
    name="config",
    examples=("mfmi config init", "mfmi config check configs/tiny.yaml"),
)
def command() -> None:
    """Check, expand and begin the configs of sweeps.

    A config that cannot be run exits with 3, all its errors on standard error as file:line:column.
    """


def _config_argument(function: Function) -> Function:
    """Add CONFIG and --set; the function receives `config` and `overrides`."""
    function = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the config; repeatable."
    )(function)
    return click.argument("config", metavar="CONFIG", type=click.Path())(function)


def _text_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add -o and --force for a text; the function receives `write`, which puts it where it belongs."""

    @click.option("-o", "--output", metavar="FILE", type=click.Path(), help="Write to a file. - is standard output.")
    @click.option("--force", is_flag=True, help="Replace an existing file.")
    @functools.wraps(function)
    def with_text(*args: Any, output: str | None, force: bool, **options: Any) -> Any:
        return function(*args, write=functools.partial(_write_text, output, force), **options)

    return with_text


def _write_text(output: str | None, force: bool, text: str) -> None:
    if output is None or output == "-":
        click.echo(text, nl=False)
        return
    from mfmi.storage.atomic import atomic_path

    with atomic_path(output, force) as draft:
        draft.write_text(text, encoding="utf-8")


def _plan(config: str, overrides: tuple[str, ...]) -> Plan:
    from mfmi.config.config import read_config
    from mfmi.sweep.plan import Plan

    return Plan.from_config(read_config(config, overrides))


@make_command(
    examples=(
        "mfmi config check configs/edge_of_chaos.yaml",
        "mfmi config check configs/tiny.yaml --set sweep.depth='[1,2]' --set output.unit=bits",
    ),
)
@_config_argument
def check(config: str, overrides: tuple[str, ...]) -> None:
    """Check a CONFIG (- reads standard input).

    Says in one line what it asks for, or else all that is wrong with it and where.
    """
    plan = _plan(config, overrides)
    parts = (
        *size_parts(plan),
        f"estimators {', '.join(plan.estimators)}",
        *([f"optional columns {', '.join(plan.optional)}"] if plan.optional else []),
    )
    click.echo(f"{plan.config.filename}: {'; '.join(parts)}")
    following("sweep", config, same=True)


@make_command(
    examples=(
        "mfmi config expand configs/tiny.yaml",
        "mfmi config expand configs/edge_of_chaos.yaml --set sweep.depth=10 --format csv",
    ),
)
@_config_argument
@output_options
def expand(config: str, overrides: tuple[str, ...], sink: Sink) -> None:
    """List the rows that a CONFIG asks for.

    One row per network and depth, nothing computed yet; of an adaptive sweep those of the first grid. - reads the
    config from standard input.
    """
    from mfmi.columns import COLUMNS

    plan = _plan(config, overrides)
    if plan.config.adaptive:
        first = counted(plan.config.grid.count() or 0, "point")
        terminal().note(f"mfmi: {first} of the first grid; the others follow from what comes out")
    columns = [column for column in COLUMNS if column.name in _EXPANDED]
    sink.write(_rows(plan), columns, shown=_EXPANDED)
    following("sweep", config, same=True)


def _rows(plan: Plan) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Return the rows chunk by chunk, so that the longest grid needs no more memory than the shortest."""
    import numpy as np

    for chunk in plan.chunks():
        points = plan.points(chunk.start, chunk.stop)
        if not len(points):
            continue
        depths = plan.depths_for(points)
        depths = np.broadcast_to(depths, (len(points), depths.shape[-1]))
        names = [name for name in _EXPANDED if name not in ("point", "init", "depth")]
        rows = {name: getattr(points, name) for name in names} | {"init": points.initialisers}
        rows = {name: np.repeat(values, depths.shape[1]) for name, values in {"point": points.index, **rows}.items()}
        yield rows | {"depth": depths.ravel().astype(np.int32)}


@make_command(
    examples=("mfmi config init", "mfmi config init -o build/sweep.yaml --force"),
)
@_text_options
def init(write: Callable[[str], None]) -> None:
    """Write a small config with comments, to start from."""
    from importlib.resources import files

    write(files("mfmi.cli").joinpath("starter.yaml").read_text(encoding="utf-8"))
    given = click.get_current_context().params.get("output")
    path = given if given not in (None, "-") else "FILE"
    following("config", "check", path, remark="what is in it, or what is wrong and where")


@make_command(
    examples=("mfmi config schema", "mfmi config schema -o build/mfmi.schema.json --force"),
)
@_text_options
def schema(write: Callable[[str], None]) -> None:
    """Write the JSON Schema of configs.

    Editors complete keys and mark mistakes with it.
    """
    import json

    from mfmi.config.config import json_schema

    write(json.dumps(json_schema(), indent=2) + "\n")


for _part in (check, expand, init, schema):
    command.add_command(_part)
