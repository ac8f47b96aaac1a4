"""The exact channel's table: as good as it says, of one piece with its derivatives, and kept between processes."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from mfmi import activations
from mfmi.channels.exact.channel import exact_channel
from mfmi.channels.exact.table import ExactTable, kept_tiles
from mfmi.channels.exact.tile_builder import TileBuilder
from mfmi.channels.exact.tiles import PERIODIC_ORDER
from mfmi.channels.protocols import TableValue
from mfmi.channels.tile_cache import TileCache
from mfmi.processes.cache_folder import cache_directory

NO_CACHE = TileCache(None)
NAMES = ["relu", "leaky_relu(0.1)", "abs", "sign", "hard_tanh", "tanh", pytest.param("gelu", marks=pytest.mark.slow)]
# ln J of abs misses the quadrature by up to 2e-7 at two of the points.
SMALL = "sign"  # its tiles take hundredths of a second
PLACE = (0, 0, 0)


def points(seed, count=8):
    rng = np.random.default_rng(seed)
    s = 10.0 ** rng.uniform(-0.3, 0.3, count)
    return 10.0 ** rng.uniform(-1.0, 3.0, count), s * rng.uniform(0.05, 1.0, count), s


@pytest.fixture(scope="module")
def tables():
    return {}


@pytest.fixture
def table(tables, request):
    """One table a name for the whole module: building tiles is what takes the time."""
    name = request.param
    if name not in tables:
        tables[name] = ExactTable(activations.get(name), NO_CACHE)
    return tables[name]


@pytest.mark.thorough
@pytest.mark.parametrize("table", NAMES, indirect=True)
def test_it_is_the_quadrature(table):
    r, tau, s = points(1)
    found, true = table.evaluate(r, tau, s), exact_channel(table.phi, r, tau, s)
    np.testing.assert_allclose(found.j, true.j, rtol=1e-7)
    np.testing.assert_allclose(found.e, true.e, rtol=1e-5)
    np.testing.assert_allclose(found.a, true.a, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.rest_r, 1.0 - r * found.e, rtol=1e-9, atol=1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize("table", NAMES, indirect=True)
def test_it_knows_its_error(table):
    r, tau, s = points(1)
    claimed = table.error(r, tau, s)
    assert np.all(claimed < 1e-7)
    assert np.all(np.abs(table.evaluate(r, tau, s).j / exact_channel(table.phi, r, tau, s).j - 1.0) <= claimed)


@pytest.mark.thorough
@pytest.mark.parametrize("table", NAMES, indirect=True)
def test_derivatives_are_those_of_the_interpolant(table):
    r, tau, s = points(1)
    tau, h = 0.999 * tau, 1e-5
    # away from the edges of tiles, where the second derivatives have a small step
    up, down = table.evaluate(r * (1 + h), tau, s), table.evaluate(r * (1 - h), tau, s)
    right, left = table.evaluate(r, tau * (1 + h), s), table.evaluate(r, tau * (1 - h), s)
    found = table.evaluate(r, tau, s)
    by_r = [(a - b) / (2 * h * r) for a, b in ((up.j, down.j), (up.e, down.e), (up.a, down.a))]
    by_tau = [(a - b) / (2 * h * tau) for a, b in ((right.j, left.j), (right.e, left.e), (right.a, left.a))]
    noise = 1e-10 * found.j
    for difference, derivative, scale in (
        (by_r[0], 0.5 * found.e, r),
        (by_r[1], found.e_r, r * r),
        (by_r[2], found.e_v, r * tau),
        (by_tau[0], 0.5 * found.a, tau),
        (by_tau[1], found.e_v, r * tau),
        (by_tau[2], found.a_v, tau * tau),
    ):
        assert np.all(np.abs(difference - derivative) * scale <= 1e-6 * np.abs(derivative) * scale + noise / h)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_a_tile_in_which_the_offset_spreads_over_a_period_is_as_good(name):
    tile = TileBuilder(activations.get(name)).build((-8, -2, 2))
    assert tile.coefficients.shape == (10, PERIODIC_ORDER, 14)
    assert tile.error < 1e-7


def test_tiles_agree_on_their_common_face():
    table = ExactTable(activations.get("relu"), NO_CACHE)
    edge = 4.0**2
    below, above = (table.evaluate(edge * factor, 1.0, 1.7) for factor in (1.0 - 1e-13, 1.0 + 1e-13))
    assert len(table._tiles) == 2
    assert below.j == pytest.approx(above.j, rel=1e-12)
    assert below.e == pytest.approx(above.e, rel=1e-7)
    assert below.a == pytest.approx(above.a, rel=1e-6)


@pytest.mark.parametrize("name", ["relu", "sign"])
def test_weak_signals_are_proportional_to_the_precision(name):
    table, r = ExactTable(activations.get(name), NO_CACHE), np.array([0.0, 1e-30, 1e-12, 9e-8])
    found = table.evaluate(r, 0.6, 1.0)
    variance = activations.get(name).decorrelation(1.0, 0.6)
    np.testing.assert_allclose(found.e, variance, rtol=1e-6)
    np.testing.assert_allclose(found.j, 0.5 * r * variance, rtol=1e-6)
    assert found.j[0] == 0.0
    assert np.all(np.isfinite(np.stack(found)))


def test_what_a_step_leaves_is_positive_however_high_the_precision():
    """Its E falls like exp(-r/2), far below the rounding of J."""
    table, r = ExactTable(activations.get("sign"), NO_CACHE), np.array([30.0, 60.0, 200.0])
    found = table.evaluate(r, 0.7, 1.0)
    assert np.all(found.e > 0.0)
    np.testing.assert_allclose(found.e, exact_channel(table.phi, r, 0.7, 1.0).e, rtol=1e-7)
    assert np.all(table.evaluate(np.array([1e4, 1e12]), 0.7, 1.0).e > 0.0)


def test_outside_its_range_it_has_no_value():
    table = ExactTable(activations.get("relu"), NO_CACHE)
    r = np.array([-1.0, np.nan, 1.0, 1.0, 1.0, 1e16])
    tau = np.array([0.5, 0.5, 0.0, np.nan, 2.0, 0.5])
    found = table.evaluate(r, tau, 1.0)
    assert isinstance(found, TableValue)
    assert np.all(np.isnan(np.stack(found)))
    assert np.all(np.isnan(table.error(r, tau, 1.0)))
    assert not table._tiles


def test_shapes_broadcast():
    found = ExactTable(activations.get(SMALL), NO_CACHE).evaluate(np.ones((3, 1)), np.array([0.4, 0.5]), 1.0)
    assert {part.shape for part in found} == {(3, 2)}


class Counting(TileBuilder):
    """Computes tiles and counts them."""

    built = 0

    def build(self, place):
        self.built += 1
        return super().build(place)


def counting_table(cache):
    table = ExactTable(activations.get(SMALL), cache)
    table._builder = Counting(table.phi)
    return table


def test_another_process_reads_what_one_has_computed(tmp_path):
    arguments = np.array([0.5, 20.0, 300.0]), np.array([0.4, 0.6, 0.9]), np.ones(3)
    tables = [counting_table(TileCache(tmp_path)) for _ in range(2)]
    values = [np.stack(table.evaluate(*arguments)) for table in tables]
    np.testing.assert_array_equal(*values)
    assert tables[0]._builder.built == len(list(tmp_path.glob("*.tile"))) > 1
    assert tables[1]._builder.built == 0


@pytest.mark.parametrize("damage", ["shorter", "flipped", "empty", "directory"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    table = counting_table(TileCache(tmp_path))
    expected = table.evaluate(2.0, 0.4, 1.0).j
    [file] = tmp_path.glob("*.tile")
    content = file.read_bytes()
    file.unlink()
    if damage == "directory":
        file.mkdir()
    else:
        changed = bytes([content[100] ^ 1])
        file.write_bytes(
            {"shorter": content[:-8], "flipped": content[:100] + changed + content[101:], "empty": b""}[damage]
        )
    again = counting_table(TileCache(tmp_path))
    assert again.evaluate(2.0, 0.4, 1.0).j == expected
    assert again._builder.built == 1
    assert not list(tmp_path.glob("*.part"))


def test_a_cache_that_cannot_be_written_is_not_missed(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    table = ExactTable(activations.get(SMALL), TileCache(blocked / "below"))
    assert np.isfinite(table.evaluate(2.0, 0.4, 1.0).j)


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("MFMI_CACHE_DIR", "")
    assert cache_directory() is None
    assert kept_tiles(activations.get(SMALL)).folder is None
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_directory() == tmp_path / "mine"
    monkeypatch.delenv("MFMI_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "mfmi"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == Path.home() / ".cache" / "mfmi"


def test_a_function_is_known_by_its_values(monkeypatch, tmp_path):
    """Parameters and a user's changed code must not meet in one folder."""
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path))
    folders = {kept_tiles(activations.get(name)).folder for name in ("leaky_relu(0.1)", "leaky_relu(0.2)", "relu")}
    assert len(folders) == 3
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


# ---- several processes -----------------------------------------------------------------------------------------------


def test_a_tile_that_another_process_has_made_meanwhile_is_not_made_again(tmp_path):
    ours, theirs = (counting_table(TileCache(tmp_path)) for _ in range(2))
    with theirs.cache.alone(PLACE) as alone:
        assert alone
        with ours.cache.alone(PLACE, 0.0) as also:
            assert not also
        waiting = threading.Thread(target=ours.tile, args=(PLACE,))
        waiting.start()
        theirs._build(PLACE)
    waiting.join()
    assert (theirs._builder.built, ours._builder.built) == (1, 0)
    assert not list(tmp_path.rglob("*.lock"))


def test_what_a_killed_process_held_is_free(tmp_path):
    cache = TileCache(tmp_path)
    code = (
        "import pathlib, signal, sys\nfrom mfmi.channels.tile_cache import TileCache\n"
        f"with TileCache(pathlib.Path(sys.argv[1])).alone({PLACE}):\n    print('held', flush=True)\n    signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with cache.alone(PLACE, 0.0) as alone:
            assert not alone
        holder.kill()
        holder.wait()
        with cache.alone(PLACE, 0.0) as alone:
            assert alone
    assert not list(tmp_path.iterdir())


def test_a_process_that_does_not_end_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("mfmi.channels.exact.table.PATIENCE", 0.0)
    ours, theirs = (counting_table(TileCache(tmp_path)) for _ in range(2))
    with theirs.cache.alone(PLACE):
        ours.tile(PLACE)
    assert ours._builder.built == 1
