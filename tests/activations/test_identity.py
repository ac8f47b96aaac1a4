"""Identity of a user's function among others of its name: in a process, between processes, on disk."""

import importlib
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import Outcome

import mfmi
from mfmi import activations
from mfmi.activations._identity import of_activation
from mfmi.activations.user import UserActivation
from mfmi.channels.exact.table import ExactTable, kept_tiles
from mfmi.channels.tile_cache import TileCache
from mfmi.errors import OutputError
from mfmi.processes.threads import THREAD_LIMITS

BASE = """
import math
import numpy as np
import scipy.special
from functools import partial
from scipy.special import ndtr
import helper_of_f as helper

A = 0.3
TABLE = np.array([1.0, 2.0, 3.0])
OPTIONS = {"shift": 0.25}

def part(u, scale):
    return scale * u

double = partial(part, scale=2.0)

def outer(b):
    def inner(u):
        return b * np.tanh(u)
    return inner

closed = outer(0.125)

def f(u, power=1.0):
    low = [np.minimum(x, 0.5) for x in (u,)][0]
    return (np.tanh(double(u)) ** power + A * ndtr(u) + closed(u) + TABLE[1] * scipy.special.erf(u) + helper.more(u)
            + OPTIONS["shift"] * math.pi * low)
"""
HELPER = "LIMIT = 4.0\ndef more(u):\n    return u / (LIMIT + abs(u))\n"

SPIKED = """
import numpy as np
A = 0.0
def f(x): return np.clip(x, -1, 1) + A * np.interp(x, [.76, .86, .97], [0, 1, 0])
f.kinks = (-1.0, .76, .86, .97, 1.0)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def written(name: str, source: str) -> ModuleType:
    """The module of a source, loaded anew."""
    Path(f"{name}.py").write_text(textwrap.dedent(source))
    importlib.invalidate_caches()
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def digest(source: str, helper: str = HELPER) -> str:
    written("helper_of_f", helper)
    found = of_activation(written("mine", source).f, None)
    assert found.complete
    return found.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A = 0.3", "A = 0.31"),
        ("2.0, 3.0])", "2.5, 3.0])"),
        ('"shift": 0.25', '"shift": 0.26'),
        ("scale=2.0", "scale=2.1"),
        ("outer(0.125)", "outer(0.126)"),
        ("scale * u", "scale + u"),
        ("power=1.0", "power=2.0"),
        ("x, 0.5) for", "u, 0.5) for"),
        ("x, 0.5)", "x, 0.6)"),
        ("np.tanh(double", "np.arctan(double"),
        ("scipy.special.erf(", "scipy.special.erfc("),
        ("import ndtr", "import expit as ndtr"),
        ("math.pi", "math.e"),
    ],
)
def test_every_part_that_a_value_follows_from_counts(home: Path, old: str, new: str) -> None:
    assert old in BASE
    assert digest(BASE) == digest(BASE)
    assert digest(BASE.replace(old, new)) != digest(BASE)


def test_modules_of_ones_own_count_and_comments_do_not(home: Path) -> None:
    assert digest(BASE, HELPER.replace("4.0", "4.5")) != digest(BASE)
    assert digest(BASE, HELPER.replace("abs(u)", "abs(u) / 2")) != digest(BASE)
    assert digest("# a comment\n\n" + BASE.replace("    return scale", "\n    return scale")) == digest(BASE)


@pytest.mark.thorough
def test_the_digest_is_that_of_every_process(home: Path) -> None:
    here = digest(BASE)
    code = (
        "from mine import f; from mfmi.activations._identity import of_activation; print(of_activation(f, None).digest)"
    )
    for _ in range(2):  # from source, and from what the first one has compiled
        for seed in ("1", "2"):
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
            )
            assert done.stdout.strip() == here


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nrng = np.random.default_rng(1)\ndef f(u): return np.tanh(u) + 0 * rng.normal()",
        "import numpy as np\ndef f(u): return np.tanh(u) + 0 * np.random.rand()",
        "import numpy as np\ndef f(u): return np.tanh(u) * np.load('a.npy')",
        "import numpy as np\nclass F:\n    a = 1.0\n    def __call__(self, u): return self.a * np.tanh(u)\nf = F()",
        "import numpy as np\nclass F:\n    a = 1.0\n    def g(self, u): return self.a * np.tanh(u)\nf = F().g",
        "import numpy as np\nf = np.vectorize(np.tanh)",
        "import numpy as np\nf = np.frompyfunc(np.tanh, 1, 1)",
        "import numpy as np\ndef f(u): return eval('np.tanh(u)')",
        "import numpy as np\ndef f(u): return getattr(np, 'tanh')(u)",
        "def f(u):\n    import numpy\n    return numpy.tanh(u)",
        "import numpy as np\nN = 0\ndef f(u):\n    global N\n    N += 1\n    return np.tanh(u)",
        "import numpy as np\nimport os\ndef f(u): return np.tanh(u) * len(os.environ['HOME'])",
    ],
)
def test_where_code_does_not_tell_values_do_and_nothing_is_kept(home: Path, source: str) -> None:
    found = of_activation(written("mine", source).f, None)
    assert not found.complete


@pytest.mark.parametrize("name", ["tanh", "maximum"])
def test_a_function_of_a_library_is_known_by_its_name(name: str) -> None:
    assert of_activation(getattr(np, name), None).complete
    assert of_activation(np.tanh, None) != of_activation(np.arctan, None)
    assert of_activation(np.tanh, None) != of_activation(np.tanh, np.cosh)


def test_an_object_with_a_state_is_examined_again_when_that_changes(home: Path) -> None:
    module = written("stateful", "import numpy as np\nclass F:\n    a = 1.0\n    def __call__(self, u):\n"
                     "        return self.a * np.tanh(u)\nf = F()")  # fmt: skip
    first = activations.get("stateful:f")
    assert activations.get("stateful:f") is first
    assert kept_tiles(first).folder is None
    assert first.identity is None
    module.f.a = 2.0
    assert activations.get("stateful:f").second_moment(1.0) == pytest.approx(
        4 * mfmi.activation("tanh").second_moment(1.0)
    )
    assert activations.get(first) == activations.get("stateful:f") != first


def values(spec: str) -> tuple[float, float]:
    row = mfmi.evaluate(spec, 1.2, 0.0, 0.1, depth=2, estimators=["linear"]).iloc[0]
    return row["q"], row["mi_linear"]


def test_a_global_that_changes_makes_another_function(home: Path) -> None:
    source = "import numpy as np\nA = 1.0\ndef f(u): return np.tanh(A * u)"
    module = written("steeper", source)
    before = values("steeper:f")
    module.A = 1.5
    after = values("steeper:f")
    written("steeper", source.replace("A = 1.0", "A = 1.5"))
    assert after == values("steeper:f") != before
    module.A = 1.0
    assert values("steeper:f") == after, "what that module holds is nothing to the one that has taken its name"
    written("steeper", source)
    assert values("steeper:f") == before


def test_a_function_that_is_redefined_or_reloaded_is_another_one(home: Path) -> None:
    module = written("again", "import numpy as np\ndef f(u): return np.tanh(u)")
    tanh = values("again:f")
    assert tanh == pytest.approx(values("tanh"), rel=1e-9)
    module.f = lambda u: np.clip(u, -1, 1)
    assert values("again:f") == pytest.approx(values("hard_tanh"), rel=1e-9)
    Path("again.py").write_text("import numpy as np\ndef f(u): return np.arctan(u)  # longer\n")
    importlib.reload(module)
    arctan = values("again:f")
    assert len({tanh, arctan, values("hard_tanh")}) == 3
    assert mfmi.fixed_point("again:f", sigma_w=1.5).q_star != mfmi.fixed_point("tanh", sigma_w=1.5).q_star


def test_an_activation_at_hand_follows_its_function(home: Path) -> None:
    module = written("spiked", SPIKED)
    phi = activations.get("spiked:f")
    assert activations.get(phi) is phi
    module.A = 1.5
    assert activations.get(phi) != phi
    assert activations.get(phi) is activations.get("spiked:f")
    assert phi.identity is None, "what it gives now must not be kept under what it was"


def test_the_folders_of_tiles_of_two_states_are_two(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two agree at the origin, at a geometric ladder of places, and in their kinks."""
    monkeypatch.setenv("MFMI_CACHE_DIR", str(home / "cache"))
    module = written("spiked", SPIKED)
    folders = []
    for module.A in (0.0, 1.5, 0.0):
        folders.append(kept_tiles(activations.get("spiked:f")).folder)
    assert folders[0] == folders[2] != folders[1]
    assert None not in folders


def test_a_tile_of_a_function_that_changes_meanwhile_is_not_kept(home: Path) -> None:
    module = written("linear_pieces", "import numpy as np\nA = 0.5\ndef f(u): return np.maximum(u, A * u)")
    table = ExactTable(activations.get("linear_pieces:f"), TileCache(home / "tiles"))
    table.tile((0, 0, 0))
    assert len(list((home / "tiles").glob("*.tile"))) == 1
    module.A = 0.25
    table.tile((1, 0, 0))
    assert len(list((home / "tiles").glob("*.tile"))) == 1


def test_another_process_refuses_another_function_of_that_name(home: Path) -> None:
    module = written("sent", "import numpy as np\nA = 1.0\ndef f(u): return A * np.tanh(u)")
    phi = activations.get("sent:f")
    assert isinstance(phi, UserActivation)
    sent = pickle.dumps(phi)
    assert pickle.loads(sent) is phi
    module.A = 2.0
    with pytest.raises(OutputError, match="'sent:f': its code is not that of the process that named it"):
        pickle.loads(sent)


@pytest.mark.slow
def test_a_spike_between_the_probes_does_not_find_the_tiles_of_the_function_without(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MFMI_CACHE_DIR", str(home / "cache"))
    module = written("spiked", SPIKED)
    found = []
    for module.A in (0.0, 1.5):
        frame = mfmi.evaluate("spiked:f", 1.2, 0.0, 0.1, depth=2, estimators=["replica"])
        found.append(frame["mi_replica"].item())
    assert found == pytest.approx([1.4310965, 1.5631], abs=1e-4)


def test_a_sweep_does_not_go_on_with_another_function(
    home: Path, command_line: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of two functions under one name would stand in one file."""
    for name in THREAD_LIMITS:
        monkeypatch.setenv(name, "1")
    module = written("swept", "import numpy as np\nA = 1.0\ndef f(u): return np.tanh(A * u)")
    Path("s.yaml").write_text(
        "version: 1\nsweep: {activation: tanh, sigma_w: [1.0, 1.5], depth: [1]}\nestimators: [linear]\n"
    )
    sweep = ("sweep", "s.yaml", "--set", "sweep.activation=swept:f", "--jobs", "1", "-o")
    assert command_line(*sweep, "rows.parquet", "--shard", "1/2").code == 0
    assert command_line(*sweep, "whole.parquet").code == 0
    assert command_line(*sweep, "whole.parquet", "--resume").code == 0
    module.A = 2.0
    for options in (("rows.parquet", "--shard", "2/2"), ("whole.parquet", "--resume")):
        done = command_line(*sweep, *options)
        assert done.code == 6
        assert "holds another sweep; what differs: functions.swept:f" in done.err
