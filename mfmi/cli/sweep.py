"""``mfmi sweep``: a grid of networks, config in, table and summary out."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.exits import STRICT
from mfmi.cli.following import following
from mfmi.cli.generic import ParamType
from mfmi.cli.numbers import counted
from mfmi.cli.options import Count, network_option
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, raw_output_options
from mfmi.cli.terminal import program, terminal
from mfmi.columns import OPTIONAL_NAMES, Column, columns_with
from mfmi.processes.progress import duration

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.config.adaptive import Adaptive
    from mfmi.config.config import Config
    from mfmi.report.summary import Summary
    from mfmi.storage.parquet import Block
    from mfmi.sweep.plan import Plan
    from mfmi.sweep.progress import SweepResult


# Seconds of a processor that the replica value takes, at least and at most: a layer without tables, one with them, and
# the tables of an activation. Measured, see docs/performance.md.
_LAYER, _LAYER_BY_TABLES, _TABLES = (5e-3, 16e-3), (6e-4, 3e-3), (1.0, 60.0)


class Jobs(ParamType[int]):
    """A number of processes, or auto for as many as there are processors."""

    name = "jobs"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if value == "auto":
            from mfmi.processes.pool import available_cpus

            return available_cpus()
        try:
            jobs = int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor 'auto'.", param, ctx)
        if jobs < 1:
            self.fail(f"{value} is less than 1.", param, ctx)
        return jobs


class Shard(ParamType[tuple[int, int]]):
    """A share of the work, such as 2/8: the second of eight."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the number of the share and the number of shares."""
        share, slash, shares = str(value).partition("/")
        if not (slash and share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares)):
            self.fail(f"{value!r} is not I/N with I from 1 to N, such as 2/8.", param, ctx)
        return int(share), int(shares)


@dataclass(frozen=True)
class Run:
    """Options of running a sweep."""

    jobs: int
    resume: bool
    shard: tuple[int, int] | None
    scheduler: str | None
    force: bool
    max_points: int | None
    strict: bool


@make_command(
    name="sweep",
    examples=(
        "mfmi sweep configs/edge_of_chaos.yaml -o build/eoc.parquet",
        "mfmi sweep configs/tiny.yaml --set sweep.depth='[1,2]' -o - --format csv",
    ),
)
@click.argument("config", type=click.Path())
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the config; repeatable."
)
@network_option(
    "optional", help=f"An optional column, in place of the config's; repeatable: {', '.join(OPTIONAL_NAMES)}."
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be computed, and compute nothing.")
@click.option(
    "--jobs", type=Jobs(), default="auto", show_default=True, metavar="N|auto", help="Number of worker processes."
)
@click.option("--resume", is_flag=True, help="Go on with what an interrupted run has finished.")
@click.option(
    "--shard", type=Shard(), metavar="I/N", help="Only the I-th of N shares; `mfmi merge` puts them together."
)
@click.option("--scheduler", metavar="ADDRESS", help="Compute on a running Dask scheduler.")
@click.option("--strict", is_flag=True, help="Exit with 4 if a row is failed or unconverged, not with 0.")
@click.option("--max-points", type=Count(1), metavar="N", help="Refuse a config with more points.")
@raw_output_options
def command(
    config: str,
    overrides: tuple[str, ...],
    optional: tuple[str, ...],
    dry_run: bool,
    jobs: int,
    resume: bool,
    shard: tuple[int, int] | None,
    scheduler: str | None,
    strict: bool,
    max_points: int | None,
    output_format: str,
    output: str | None,
    force: bool,
) -> None:
    """Compute all networks of a CONFIG (- reads it from standard input).

    The rows go to the file that -o or the config names, in one piece or not at all, and the summary to the terminal.
    Without a file the rows go to standard output. `mfmi config init` writes a config to start from.
    """
    from mfmi.config.config import read_config
    from mfmi.sweep.plan import Plan

    if resume and force:
        raise click.UsageError("--resume and --force contradict each other.")
    if optional:
        overrides += (f"columns=[{', '.join(optional)}]",)
    read = read_config(config, overrides)
    plan = Plan.from_config(read)
    sink = Sink.of(output_format, output or read.output_path, force)
    run = Run(jobs, resume, shard, scheduler, force, max_points, strict)
    if sink.path is None and (resume or shard):
        raise click.UsageError(f"--{'resume' if resume else 'shard'} needs an output file: name one with -o.")
    if shard and read.adaptive:
        raise click.UsageError(
            "--shard does not go with sweep.mode adaptive: each round of points follows from all rows of the one "
            "before. --jobs and --scheduler divide it."
        )
    if shard and force:
        raise click.UsageError("--shard and --force contradict each other: the other shards' work would be lost.")
    for note in read.networks.notes:
        terminal().note(f"mfmi: {note}")
    if dry_run:
        _describe(read, plan, sink, run)
    elif sink.path is None:
        _stream(plan, sink, run)
    else:
        _to_file(plan, sink, sink.path, run)


def _describe(config: Config, plan: Plan, sink: Sink, run: Run) -> None:
    """Say what would be computed; refuse what the run itself would refuse at once."""
    lines = [", ".join(size_parts(plan))]
    lines += [f"  {axis.name}: {_values_text(axis.values)}" for axis in config.axes if axis.name != "depth"]
    lines.append(f"  depth: {_values_text(plan.depths)}")
    lines.append(f"  estimators: {', '.join(plan.estimators)} ({plan.unit})")
    if config.networks.plain and not plan.model.mixes:
        lines.append(f"  replica, the value between the bounds: {_replica_text(plan)}")
    if config.adaptive:
        lines.append(f"  adaptive: {_adaptive_text(config.adaptive)}")
    if plan.optional:
        lines.append(f"  optional columns: {', '.join(plan.optional)}")
    lines.append(f"  to: {sink.path or 'standard output'} ({sink.format}), {counted(run.jobs, 'job')}")
    click.echo("\n".join(lines))
    if not run.resume:
        sink.check()
    following("sweep", config.filename, same=True, without=("-n", "--dry-run"))


def size_parts(plan: Plan) -> tuple[str, str, str]:
    """Say how many points, rows and chunks a plan has; of an adaptive sweep how many points come first."""
    first = plan.config.grid.count()
    bound = "at most " if first is None or plan.config.adaptive else ""
    excluded = f" ({plan.n_grid - first:,} excluded)" if first is not None and first < plan.n_grid else ""
    points, rows = counted(plan.n_points_bound, "point"), counted(plan.n_rows_bound, "row")
    if plan.config.adaptive:
        return f"{bound}{points}", f"{bound}{rows}", f"{counted(first or 0, 'point')} in the first grid{excluded}"
    return f"{bound}{points}{excluded}", f"{bound}{rows}", counted(plan.n_chunks, "chunk")


def _replica_text(plan: Plan) -> str:
    """Say what the replica value adds, or would add, to the time of a sweep."""
    layers = plan.n_points_bound * (sum(plan.config.depths) or max(plan.depths))
    known = {"replica"} & set(plan.estimators)
    tables = len(next(axis for axis in plan.config.axes if axis.name == "activation").values)
    low, high = (
        each * layers + (tables * table if plan.model.tables else 0.0)
        for each, table in zip(*((_LAYER_BY_TABLES if plan.model.tables else _LAYER), _TABLES), strict=True)
    )
    text = f"about {duration(low)} to {duration(high)} of a processor"
    return f"it takes {text}" if known else f"not asked for, it would take {text}"


def _adaptive_text(adaptive: Adaptive) -> str:
    target = "the borders of the phases" if adaptive.target == "phase" else f"the peaks of {adaptive.target}"
    return f"{target} over {', '.join(adaptive.axes)}, down to {adaptive.tolerance:g} of each axis"


def _values_text(values: Any) -> str:
    count = len(values)
    if count <= 6:
        return ", ".join(_value_text(values[i]) for i in range(count))
    return f"{_value_text(values[0])} to {_value_text(values[count - 1])}, {count} values"


def _value_text(value: Any) -> str:
    if value is None:
        return "not given"
    return value if isinstance(value, str) else f"{value:g}"


def _stream(plan: Plan, sink: Sink, run: Run) -> None:
    """Write the rows to standard output as they are finished."""
    from mfmi.storage.parquet import columns_in
    from mfmi.sweep.stream import SweepStream

    columns = columns_in(plan.unit, columns_with(plan.optional))
    with ProgressDisplay(terminal()) as progress:
        stream = SweepStream(
            plan, jobs=run.jobs, scheduler=run.scheduler, max_points=run.max_points, on_progress=progress
        )
        sink.write(iter(stream), columns, about=stream.about)
    assert stream.result is not None
    terminal().note(_performance(stream.result, run))
    _finish(stream.result, run)


def _to_file(plan: Plan, sink: Sink, path: str, run: Run) -> None:
    """Write the rows to a file and the summary to standard output."""
    from mfmi.sweep.run import SweepInterrupted, run_sweep

    publisher = None if sink.format == "parquet" else Publisher(sink, plan.unit, columns_with(plan.optional))
    try:
        with ProgressDisplay(terminal()) as progress:
            result = run_sweep(
                plan,
                path,
                jobs=run.jobs,
                resume=run.resume,
                shard=run.shard,
                scheduler=run.scheduler,
                force=run.force,
                max_points=run.max_points,
                on_progress=progress,
                publish=publisher,
            )
    except SweepInterrupted as stop:
        terminal().warn(
            f"interrupted: {stop.chunks_done} of {stop.n_chunks} {stop.unit} are kept in {stop.parts}; to go on:"
            f"\n  {resume_command(terminal().arguments)}"
        )
        raise
    for note in result.notes:
        terminal().note(f"mfmi: {note}")
    if not result.complete:
        click.echo(_performance(result, run))
        click.echo(f"in {result.path}; when all shares are there: {program()} merge {shlex.quote(path)}")
    else:
        summary = publisher.summary() if publisher else _read_summary(path)
        from mfmi.cli.summary_view import columns_of

        table = functools.partial(_draw_end, result, run, summary, plan.unit, path)
        Sink("table").draw(table, columns_of(summary, plan.unit))
    _finish(result, run)


class Publisher:
    """Writes finished rows in another format than Parquet, and sums them up on their way."""

    def __init__(self, sink: Sink, unit: str, columns: Sequence[Column]) -> None:
        from mfmi.report.summary import Gathering

        self._sink = sink
        self._unit = unit
        self._columns = columns
        self._gathering = Gathering()

    def __call__(self, blocks: Iterator[Block], about: Mapping[str, Any], force: bool) -> None:
        """Write the blocks; `force` is also what the run that this one goes on with was allowed."""
        from mfmi.storage.parquet import columns_in

        replace(self._sink, force=force).write(self._noted(blocks), columns_in(self._unit, self._columns), about=about)

    def _noted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        from mfmi.storage.parquet import to_table

        for block in blocks:
            self._gathering.add(to_table(block))
            yield block

    def summary(self) -> Summary:
        """Return what the rows came to."""
        return self._gathering.summary()


def _read_summary(path: str) -> Summary:
    from mfmi.report.summary import NEEDED, summarise
    from mfmi.storage.parquet import read_batches

    return summarise(read_batches(path, NEEDED))


def _draw_end(result: SweepResult, run: Run, summary: Summary, unit: str, path: str, console: Console) -> None:
    """Say what has been done, what came out, where it is and what to do with it."""
    from mfmi.cli.main import COMMANDS
    from mfmi.cli.summary_view import draw, say

    say(console, _performance(result, run))
    draw(console, summary, unit, path)
    say(console, f"wrote {path} ({_size(os.path.getsize(path))})", "bold")
    following = "plot" if "plot" in COMMANDS and path.endswith((".parquet", ".pq")) else "show"
    say(console, f"next: {program()} {following} {shlex.quote(path)}", "dim")


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def _performance(result: SweepResult, run: Run) -> str:
    text = f"{counted(result.points, 'point')}, {counted(result.rows, 'row')} in {duration(result.seconds)}"
    if result.rows_per_second == result.rows_per_second:
        text += f" ({result.rows_per_second:,.0f} rows/s)"
    text += ", by a Dask cluster" if run.scheduler else f", {counted(run.jobs, 'job')}"
    if result.resumed_chunks:
        text += f"; {result.resumed_chunks} of {result.n_chunks} {result.unit} were there already"
    return text


def _finish(result: SweepResult, run: Run) -> None:
    """Under --strict leave with 4 if anything is not as it should be; say in any case that nothing is."""
    if result.rows and result.n_failed == result.rows:
        reason = f": {result.failures[0].message}" if result.failures else ""
        terminal().error(f"no row has a result: all {result.rows} are failed or unconverged{reason}")
    if run.strict and result.n_failed:
        terminal().error(f"failed or unconverged: {counted(result.n_failed, 'row')}")
        raise click.exceptions.Exit(STRICT)


def resume_command(arguments: Sequence[str]) -> str:
    """Return the command line that goes on where this one has stopped."""
    kept = [argument for argument in arguments if argument != "--force"]
    if "--resume" not in kept:
        kept.append("--resume")
    return f"{program()} {shlex.join(kept)}"
