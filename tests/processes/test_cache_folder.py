"""The cache directory: who may write there, what code its files follow from, and what becomes of damaged ones."""

import ast
import json
import os
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mfmi import activations
from mfmi.chain.compiled import _compiler
from mfmi.channels.closed import table as closed
from mfmi.channels.exact import table as exact
from mfmi.channels.exact.table import kept_tiles
from mfmi.channels.tile_cache import TileCache
from mfmi.errors import MfmiWarning
from mfmi.processes import cache_folder, machine_code
from mfmi.processes.cache_folder import cache_directory, digest_of_sources, is_trusted, make_folder

PACKAGE = Path(cache_folder.__file__).parents[1]
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def umask() -> None:
    """Restore the umask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- who may write there ------------------------------------------------------------------------------------------


def test_a_directory_of_ones_own_is_trusted(tmp_path: Path) -> None:
    assert is_trusted(tmp_path)
    assert is_trusted(tmp_path / "not" / "there" / "yet")


@pytest.mark.parametrize("bits", [0o020, 0o002, 0o022])
@pytest.mark.parametrize("at", ["itself", "above"])
def test_a_directory_that_others_can_write_to_is_not(tmp_path: Path, bits: int, at: str) -> None:
    (tmp_path / "open" / "below").mkdir(parents=True)
    (tmp_path / "open").chmod(0o755 | bits)
    folder = tmp_path / "open" if at == "itself" else tmp_path / "open" / "below"
    with pytest.warns(MfmiWarning, match=f"{folder} is not used: .*open can be written by other users: chmod go-w"):
        assert not is_trusted(folder)


def test_below_a_sticky_directory_others_only_touch_what_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    assert is_trusted(tmp_path / "sticky" / "mine")


@is_root
@pytest.mark.parametrize("at", ["itself", "above"])
def test_a_directory_of_another_user_is_not_trusted(tmp_path: Path, at: str) -> None:
    (tmp_path / "theirs" / "below").mkdir(parents=True)
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.warns(MfmiWarning, match="theirs belongs to another user"):
        assert not is_trusted(tmp_path / "theirs" if at == "itself" else tmp_path / "theirs" / "below")


def test_links_are_followed_to_what_is_behind_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "open")
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path / "link"))
    assert cache_directory() == tmp_path / "open"
    (tmp_path / "open").chmod(0o777)
    with pytest.warns(MfmiWarning, match="can be written by other users"):
        assert cache_directory() is None


def test_neither_tiles_nor_code_are_taken_from_a_directory_that_others_can_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path))
    phi = activations.get("relu")
    assert kept_tiles(phi).folder is not None
    assert machine_code.folder_of(_compiler.SOURCES) is not None
    tmp_path.chmod(0o777)
    with pytest.warns(MfmiWarning):
        assert kept_tiles(phi).folder is None
    with pytest.warns(MfmiWarning):
        assert machine_code.folder_of(_compiler.SOURCES) is None
    tmp_path.chmod(0o755)
    tiles = kept_tiles(phi).folder
    assert tiles is not None
    tiles.mkdir(parents=True)
    tiles.chmod(0o775)
    with pytest.warns(MfmiWarning):
        assert kept_tiles(phi).folder is None


def test_machine_code_lies_where_nobody_else_can_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path / "cache"))
    folder = machine_code.folder_of(_compiler.SOURCES)
    assert folder is not None
    assert mode(folder) == 0o700
    folder.chmod(0o777)
    assert machine_code.folder_of(_compiler.SOURCES) == folder
    assert mode(folder) == 0o700


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o644, 0o755)])
@pytest.mark.usefixtures("umask")
def test_files_follow_the_umask_and_are_never_for_others_to_write(
    tmp_path: Path, mask: int, file: int, folder: int
) -> None:
    os.umask(mask)
    cache = TileCache(tmp_path / "above" / "tiles")
    cache.store((0,), np.zeros(3))
    assert cache.folder is not None
    assert mode(cache.folder / "0.tile") == file
    assert mode(cache.folder) == mode(cache.folder.parent) == folder
    assert cache.load((0,), 3) is not None


@pytest.mark.usefixtures("umask")
def test_parents_are_never_for_others_to_write(tmp_path: Path) -> None:
    os.umask(0)
    make_folder(tmp_path / "a" / "b", 0o700)
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o755, 0o700)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):  # noqa: PT011
        make_folder(tmp_path / "file" / "below")


# ---- files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiles(tmp_path: Path) -> TileCache:
    cache = TileCache(tmp_path / "tiles")
    cache.store((1, 2), np.arange(4.0))
    found = cache.load((1, 2), 4)
    assert found is not None
    assert found.tolist() == [0.0, 1.0, 2.0, 3.0]
    return cache


def test_a_tile_that_others_can_write_to_is_not_read(tiles: TileCache) -> None:
    assert tiles.folder is not None
    (tiles.folder / "1_2.tile").chmod(0o664)
    assert tiles.load((1, 2), 4) is None


def test_a_tile_under_another_name_is_not_read(tiles: TileCache, tmp_path: Path) -> None:
    assert tiles.folder is not None
    content = (tiles.folder / "1_2.tile").read_bytes()
    (tiles.folder / "2_1.tile").write_bytes(content)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "1_2.tile").write_bytes(content)
    assert tiles.load((2, 1), 4) is None
    assert TileCache(tmp_path / "other").load((1, 2), 4) is None


def test_every_flipped_bit_and_every_cut_is_noticed(tiles: TileCache) -> None:
    assert tiles.folder is not None
    file = tiles.folder / "1_2.tile"
    content = file.read_bytes()
    for i in range(len(content)):
        file.write_bytes(content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :])
        assert tiles.load((1, 2), 4) is None
        file.write_bytes(content[:i])
        assert tiles.load((1, 2), 4) is None
    file.unlink()
    os.mkfifo(file)
    assert tiles.load((1, 2), 4) is None
    tiles.store((1, 2), np.arange(4.0))
    assert tiles.load((1, 2), 4) is not None


def test_what_a_killed_process_has_left_is_never_read_and_is_removed(tiles: TileCache) -> None:
    assert tiles.folder is not None
    old, new = tiles.folder / "old.part", tiles.folder / "new.part"
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (time.time() - 7200.0,) * 2)
    tiles.store((3, 4), np.zeros(2))
    assert not old.exists()
    assert new.exists()
    assert sorted(path.name for path in tiles.folder.glob("*.tile")) == ["1_2.tile", "3_4.tile"]


def test_processes_that_store_one_tile_at_once_leave_one_whole_tile(tmp_path: Path) -> None:
    cache = TileCache(tmp_path / "tiles")
    wrong = []

    def work(number: int) -> None:
        for _ in range(40):
            cache.store((0, 0), np.full(1400, float(number)))
            found = cache.load((0, 0), 1400)
            if found is None or len(set(found.tolist())) != 1:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [path.name for path in (tmp_path / "tiles").iterdir()] == ["0_0.tile"]


# ---- which code made them -----------------------------------------------------------------------------------------


def imported(name: str) -> set[str]:
    """Modules of the package that a module imports at its top, as files or as folders."""
    found = set()
    for node in ast.parse((PACKAGE / name).read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mfmi":
            module = (node.module or "").split(".")[1:]
            for path in [[*module, alias.name] for alias in node.names] + [module]:
                file = PACKAGE.joinpath(*path)
                if path and file.with_suffix(".py").is_file():
                    found.add("/".join(path) + ".py")
                elif path == ["activations"]:
                    found.add("/".join(path))
    return found


def closure(start: set[str], apart: set[str]) -> set[str]:
    seen: set[str] = set()
    waiting = set(start)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        place = PACKAGE / name
        files = sorted(place.glob("*.py")) if place.is_dir() else [place]
        for file in files:
            waiting |= imported(str(file.relative_to(PACKAGE))) - seen - apart
    return {name for name in seen if not any(name.startswith(f"{other}/") for other in seen)}


@pytest.mark.parametrize(
    ("sources", "start"),
    [
        (exact.SOURCES, {"channels/exact/table.py", "activations"}),
        (closed.SOURCES, {"channels/closed/table.py", "channels/closed/bounds.py", "activations"}),
    ],
    ids=["exact", "closed"],
)
def test_tiles_follow_from_all_modules_that_make_them(sources: tuple[str, ...], start: set[str]) -> None:
    """Those that a table and every activation import, but for errors, progress and where files are kept."""
    assert closure(start, {"errors.py", "processes/cache_folder.py", "processes/progress.py"}) == set(sources)


def test_machine_code_follows_from_modules_that_are_there() -> None:
    """The compiled code is `_descent`, `_channel` and the functions they call; `test_point_solver` checks the calls."""
    assert "chain/compiled/_descent.py" in _compiler.SOURCES
    assert [name for name in _compiler.SOURCES if not (PACKAGE / name).is_file()] == []


def test_a_digest_changes_with_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("a.py", "folder/b.py"):
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(cache_folder, "_PACKAGE", tmp_path)
    found = [digest_of_sources(["a.py", "folder"], ["numpy"])]
    for name in ("a.py", "folder/b.py", "folder/c.py"):
        (tmp_path / name).write_text("2")
        found.append(digest_of_sources(["a.py", "folder"], ["numpy"]))
    found.append(digest_of_sources(["a.py", "folder"], ["numpy", "scipy"]))
    assert len(set(found)) == 5
    assert digest_of_sources(["a.py", "folder"], ["numpy", "scipy"]) == found[-1]


# ---- machine code -------------------------------------------------------------------------------------------------


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder of files such as numba writes, sealed."""
    (tmp_path / "below").mkdir()
    for name in ("x.py312.nbi", "x.py312.1.nbc"):
        (tmp_path / "below" / name).write_bytes(name.encode() * 50)
    machine_code.seal(tmp_path)
    machine_code.discard_damaged(tmp_path)
    assert len(list(tmp_path.rglob("*.nb?"))) == 2
    return tmp_path


@pytest.mark.parametrize("name", ["x.py312.nbi", "x.py312.1.nbc"])
@pytest.mark.parametrize("damage", ["flipped", "shorter", "empty", "missing", "added", "directory"])
def test_damaged_machine_code_is_discarded(code: Path, name: str, damage: str) -> None:
    file = code / "below" / name
    content = file.read_bytes()
    if damage in ("missing", "directory"):
        file.unlink()
        if damage == "directory":
            file.mkdir()
    elif damage == "added":
        (code / "below" / f"y{name}").write_bytes(b"new")
    else:
        bad = {"flipped": content[:9] + bytes([content[9] ^ 1]) + content[10:], "shorter": content[:-1], "empty": b""}
        file.write_bytes(bad[damage])
    with pytest.warns(MfmiWarning, match=f"{code} is damaged: the machine code in it is discarded and compiled anew"):
        machine_code.discard_damaged(code)
    assert list(code.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"below/x.py312.nbi": 3})])
def test_a_damaged_seal_discards_as_well(code: Path, content: str) -> None:
    (code / "seal.json").write_text(content)
    with pytest.warns(MfmiWarning, match="is damaged"):
        machine_code.discard_damaged(code)
    assert list(code.iterdir()) == []


def test_what_a_killed_compilation_has_left_is_discarded_in_silence(code: Path) -> None:
    (code / "seal.json").unlink()
    machine_code.discard_damaged(code)
    assert list(code.iterdir()) == []
    machine_code.discard_damaged(code)
