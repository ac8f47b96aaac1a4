"""Plans: lazy however large, in config order, divided without gap or overlap, exact at the ends."""

import itertools
import pickle
import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfmi.config import grid as _grid
from mfmi.config.config import load_config
from mfmi.config.values import Listed, Spaced
from mfmi.networks.points import Points
from mfmi.sweep.plan import Plan

AXES = ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance", "correlation")


def plan(sweep: str, rest: str = "") -> Plan:
    return Plan.from_config(load_config(f"version: 1\nsweep: {{{sweep}}}\n{rest}", "some.yaml"))


def rows(points: Points) -> list[tuple[object, ...]]:
    return list(zip(points.index.tolist(), *(getattr(points, name).tolist() for name in AXES), strict=True))


def everything(plan: Plan) -> list[tuple[object, ...]]:
    return rows(plan.points(0, plan.n_grid))


def test_product_runs_in_config_order() -> None:
    found = plan(
        "weights: [gaussian, orthogonal], sigma_b: [0, 1], activation: [tanh, relu], sigma_w: [1, 2, 3], depth: [5, 6]",
        "input: {variance: 2, correlation: 0.25}",
    )
    wanted = [
        (i, activation, weights, "output", w, b, 0.1, 2.0, 0.25)
        for i, (weights, b, activation, w) in enumerate(
            itertools.product(["gaussian", "orthogonal"], [0.0, 1.0], ["tanh", "relu"], [1.0, 2.0, 3.0])
        )
    ]
    assert everything(found) == wanted
    assert (found.n_grid, found.n_points, found.n_rows_bound) == (24, 24, 48)
    assert found.depths == (5, 6)
    assert found.depths_for(found.points(0, 3)).tolist() == [5, 6]


def test_zip_runs_side_by_side() -> None:
    found = plan(
        "mode: zip, activation: tanh, sigma_w: [1, 2, 3], sigma_b2: {start: 0, stop: 4, num: 3}, depth: [7, 5, 7],"
        "exclude: [{sigma_w: 2, depth: 5}]"
    )
    assert [(row[0], row[4], row[5]) for row in everything(found)] == [(0, 1.0, 0.0), (2, 3.0, 2.0)]
    assert found.depths == (5, 7)
    assert found.depths_for(found.points(0, 3)).tolist() == [[7], [7]]
    assert found.depths_for(found.points(0, 3)[1:]).tolist() == [[7]]
    assert (found.n_grid, found.n_points, found.n_rows_bound) == (3, 2, 2)


def test_zip_of_constants_is_one_point() -> None:
    found = plan("mode: zip, activation: tanh, sigma_w: 1, depth: 3")
    assert (found.n_grid, found.n_rows_bound, found.depths) == (1, 1, (3,))


def test_zip_with_common_depth() -> None:
    found = plan("mode: zip, activation: [tanh, relu], sigma_w: [1, 2], depth: 4")
    assert found.depths_for(found.points(0, 2)).tolist() == [4]


def test_points_have_their_own_keys() -> None:
    found = plan(
        "mode: points, activation: tanh, sigma_b2: 0.25, points: ["
        "{sigma_w: 1, depth: 3}, {sigma_w: 2, sigma_b2: 4, activation: relu}, {sigma_w: 3, weights: orthogonal}]"
    )
    assert everything(found) == [
        (0, "tanh", "gaussian", "output", 1.0, 0.5, 0.1, 1.0, 0.5),
        (1, "relu", "gaussian", "output", 2.0, 2.0, 0.1, 1.0, 0.5),
        (2, "tanh", "orthogonal", "output", 3.0, 0.5, 0.1, 1.0, 0.5),
    ]
    assert found.depths_for(found.points(0, 3)).tolist() == [[3], [10], [10]]


def test_points_fall_back_on_defaults() -> None:
    found = plan(
        "mode: points, points: [{activation: tanh, sigma_w2: 4, sigma_b2: 4}, {activation: relu, sigma_w2: 1}]"
    )
    assert [row[4:7] for row in everything(found)] == [(2.0, 2.0, 0.1), (1.0, 0.0, 0.1)]


def test_points_may_share_a_list_of_depths() -> None:
    found = plan("mode: points, activation: tanh, depth: [1, 9], points: [{sigma_w: 1}, {sigma_w: 2}]")
    assert found.depths_for(found.points(0, 2)).tolist() == [1, 9]
    assert found.n_rows_bound == 4


def test_excluded_points_keep_their_number() -> None:
    found = plan(
        "activation: [tanh, relu], sigma_w: [1, 2, 3], noise_at: [output, every],"
        "exclude: [{activation: relu, noise_at: every}, {sigma_w: [1, 3], activation: tanh}]"
    )
    assert [row[0] for row in everything(found)] == [2, 3, 6, 8, 10]
    assert found.n_points == 5


AXIS_VALUES = {
    "activation": ["tanh", "relu", "linear"],
    "weights": ["gaussian", "orthogonal"],
    "noise_at": ["output", "every"],
    "sigma_w": [0.5, 1.0, 2.0, 4.0],
    "sigma_b": [0.0, 0.25, 1.0],
}


@st.composite
def grids(draw: st.DrawFn) -> tuple[list[str], dict[str, list[object]], list[dict[str, list[object]]]]:
    """Axes in some order, with some of their values, and exclusions that leave something."""
    order = draw(st.permutations(sorted(AXIS_VALUES)))
    values = {name: draw(st.lists(st.sampled_from(AXIS_VALUES[name]), min_size=1, unique=True)) for name in order}
    entry = st.lists(st.sampled_from(order), min_size=1, max_size=3, unique=True)
    exclude = []
    for _ in range(draw(st.integers(0, 3))):
        exclude.append({n: draw(st.lists(st.sampled_from(values[n]), min_size=1, unique=True)) for n in draw(entry)})
    return order, values, exclude


def flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return f"{{{', '.join(f'{k}: {flow(v)}' for k, v in value.items())}}}" if isinstance(value, dict) else str(value)


@given(grids())
@settings(max_examples=100, deadline=None)
def test_any_grid_is_the_product_less_what_is_excluded(
    grid: tuple[list[str], dict[str, list[object]], list[dict[str, list[object]]]],
) -> None:
    order, values, exclude = grid
    wanted = []
    for i, combination in enumerate(itertools.product(*(values[name] for name in order))):
        point = dict(zip(order, combination, strict=True))
        if not any(all(point[name] in allowed for name, allowed in entry.items()) for entry in exclude):
            wanted.append((i, *(point[name] for name in AXES[:5])))
    sweep = ", ".join(f"{name}: {flow(values[name])}" for name in order)
    if not wanted:
        with pytest.raises(Exception, match="leaves no point"):
            plan(f"{sweep}, exclude: {flow(exclude)}")
        return
    found = plan(f"{sweep}, exclude: {flow(exclude)}")
    assert [row[:6] for row in everything(found)] == wanted
    assert found.n_points == len(wanted)


@pytest.mark.thorough
@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_chunks_partition_the_grid(n_w: int, n_b: int, n_depths: int) -> None:
    ranges = [
        f"{name}: {{start: 0, stop: {1 if n > 1 else 0}, num: {n}}}" for name, n in (("sigma_w", n_w), ("sigma_b", n_b))
    ]
    found = plan(f"activation: tanh, {', '.join(ranges)}, depth: {{start: 1, stop: {n_depths}, num: {n_depths}}}")
    chunks = list(found.chunks())
    assert [chunk.number for chunk in chunks] == list(range(found.n_chunks))
    assert chunks[0].start == 0
    assert chunks[-1].stop == found.n_grid
    assert all(one.stop == other.start for one, other in itertools.pairwise(chunks))
    assert all(0 < chunk.stop - chunk.start <= found.chunk_size for chunk in chunks)
    # Bounded in rows, and in layers, on which the memory of a deep grid depends.
    assert found.chunk_size * n_depths <= 4096
    assert found.chunk_size * n_depths <= 30_000 or found.chunk_size == 1
    assert found.chunk_size >= min(4096 // n_depths, 30_000 // n_depths)
    pieces = [row for chunk in chunks for row in rows(found.points(chunk.start, chunk.stop))]
    assert pieces == everything(found)


@given(st.lists(st.sampled_from([1, 2, 40, 5000, 10_000]), min_size=1, max_size=60), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_depth_of_every_point_bounds_the_chunks_too(depths: list[int], listed: bool) -> None:
    count = len(depths)
    points = ", ".join(f"{{sigma_w: 1, depth: {depth}}}" for depth in depths)
    zipped = f"mode: zip, activation: tanh, sigma_w: {[1] * count}, depth: {depths}"
    found = plan(f"mode: points, activation: tanh, points: [{points}]" if listed else zipped)
    chunks = list(found.chunks())
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    assert chunks[-1].stop == found.n_grid == count
    for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
        size = chunk.stop - chunk.start
        assert size == 1 or size * max(depths[chunk.start : chunk.stop]) <= 30_000
        assert size <= found.chunk_size
        if following:  # one more would be too many
            assert (size + 1) * max(depths[chunk.start : chunk.stop + 1]) > 30_000
    assert sum(len(found.depths_for(found.points(chunk.start, chunk.stop))) for chunk in chunks) == count


def test_chunks_are_counted_from_either_end() -> None:
    found = plan("activation: tanh, sigma_w: {start: 0, stop: 1, num: 1000}, depth: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]")
    assert found.n_chunks == 3
    assert list(found.chunks()) == [found.chunk(0), found.chunk(1), found.chunk(2)]
    assert found.chunk(-1) == found.chunk(2)
    assert found.chunk(2).stop == found.n_grid
    with pytest.raises(IndexError):
        found.chunk(3)


def test_a_hundred_million_points_cost_nothing_until_asked_for() -> None:
    tracemalloc.start()
    found = plan(
        "activation: [tanh, relu], sigma_w: {start: 0.5, stop: 3, num: 10000},"
        "sigma_b: {start: 1e-3, stop: 1, num: 5000, spacing: log}, exclude: [{activation: relu, sigma_b: [1e-3, 1]}]"
    )
    assert found.n_grid == 10**8
    assert found.n_points == 10**8 - 2 * 10**4
    last = found.chunk(found.n_chunks - 1)
    assert last.stop == found.n_grid
    for start in (0, 49_999_990, last.start):
        assert len(found.points(start, start + 4096)) <= 4096
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    first, end = found.points(0, 1), found.points(found.n_grid - 2, found.n_grid)
    assert (first.sigma_w[0], first.sigma_b[0]) == (0.5, 1e-3)
    assert end.index.tolist() == [10**8 - 2]  # the very last one is excluded
    assert end.sigma_w[0] == 3.0


def test_a_range_of_a_trillion_values() -> None:
    found = plan("activation: tanh, sigma_w: {start: 0.1, stop: 0.7, num: 1e12}")
    end = found.points(10**12 - 1, 10**12)
    assert end.sigma_w.tolist() == [0.7]
    assert found.points(0, 1).sigma_w.tolist() == [0.1]
    assert found.n_grid == 10**12


ends = st.floats(0, 1e6).map(lambda x: x + 0.0)


@given(ends, ends, st.integers(2, 300), st.booleans())
@settings(max_examples=300)
def test_ranges_are_those_of_numpy_with_exact_ends(one: float, other: float, num: int, logarithmic: bool) -> None:
    start, stop = sorted((one, other))
    if start == stop or (logarithmic and start < 1e-300):
        return
    values = Spaced(start, stop, num, logarithmic).at(np.arange(num))
    assert values[0] == start
    assert values[-1] == stop
    wanted = (np.geomspace if logarithmic else np.linspace)(start, stop, num)
    assert values.tolist() == np.clip(wanted, start, stop).tolist()
    assert (np.diff(values) >= 0).all()


@given(st.integers(2, 10**12), st.integers(0, 10**12), st.booleans())
@settings(max_examples=100)
def test_a_value_of_a_range_is_found_again(num: int, index: int, logarithmic: bool) -> None:
    values = Spaced(0.1, 3.0, num, logarithmic)
    index %= num
    value = values[index]
    assert index in values.positions(value)
    assert values.nearest(value) == value
    assert values.positions(value + 1e-16 if value < 0.1 else -1.0) == []


def test_a_range_does_not_depend_on_how_it_is_cut() -> None:
    values = Spaced(1e-3, 0.7, 1001, True)
    whole = values.at(np.arange(1001))
    assert np.concatenate([values.at(np.arange(i, i + 1)) for i in range(1001)]).tolist() == whole.tolist()
    assert [values[i] for i in range(1001)] == whole.tolist()
    assert list(Listed((3.0, 1.0))) == [3.0, 1.0]


def test_points_past_the_end_are_ignored() -> None:
    found = plan("activation: tanh, sigma_w: [1, 2]")
    assert found.points(1, 99).index.tolist() == [1]
    assert len(found.points(2, 99)) == 0
    assert len(found.points(5, 2)) == 0


def test_a_plan_travels_between_processes() -> None:
    found = plan("activation: tanh, sigma_w: {start: 0, stop: 1, num: 9}, sigma_b: [0, 1], exclude: [{sigma_w: 1}]")
    before = everything(found)
    copy = pickle.loads(pickle.dumps(found))
    assert everything(copy) == before
    assert copy.config.canonical() == found.config.canonical()


def test_unit_and_estimators_are_the_config_s() -> None:
    found = plan("activation: tanh, sigma_w: 1", "output: {unit: bits}\nestimators: [replica, mean_field]")
    assert (found.unit, found.estimators) == ("bits", ("mean_field", "replica"))


def overlapping() -> Plan:
    chance = random.Random(1)
    names = ("sigma_w", "sigma_b", "sigma_noise")
    entries = [{name: chance.sample(range(1, 21), 5) for name in names} for _ in range(20)]
    axes = ", ".join(f"{name}: {{start: 1, stop: 20, num: 20}}" for name in names)
    return plan(f"activation: tanh, {axes}, exclude: {flow(entries)}")


def test_overlapping_exclusions_are_counted() -> None:
    found = overlapping()
    assert 0 < found.n_points == len(everything(found)) < found.n_grid
    assert found.n_points_bound == found.n_points


def test_exclusions_beyond_counting_leave_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_grid, "_MOST_PATTERNS", 10)
    found = overlapping()
    assert found.n_points is None
    assert found.n_points_bound == found.n_grid == 8000
