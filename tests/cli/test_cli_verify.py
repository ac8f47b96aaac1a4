import json
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mfmi.activations import get
from mfmi.verification import COLUMNS, Effort, Setting, chosen_pairs, verify
from mfmi.verification import _compare as comparing
from mfmi.verification._measures import Comparison
from mfmi.verification._theory import theory_values

SMALL = ("verify", "--act", "tanh", "--sw", "1.5", "--depth", "2", "--widths", "40,80", "--seeds", "8")
MAPS_ONLY = ("--estimator", "mean_field")  # no decoder, no bracket, no tables of channels


@pytest.fixture
def in_this_process(monkeypatch):
    """Measure without worker processes, whose start takes longer than a small network."""
    monkeypatch.setattr(
        comparing, "run_processes", lambda task, numbers, jobs: ((number, task.run(number)) for number in numbers)
    )


def rows_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def limits(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["width"] is None]


# What comes out


def test_theory_and_small_networks_agree(command_line, in_this_process):
    done = command_line(*SMALL, "--strict")
    assert done.code == 0
    rows = rows_of(done.out)
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert [row["width"] for row in rows[:3]] == [40, 80, None]
    found = {(row["quantity"], row["layer"]): row for row in limits(rows)}
    quantities = ("q", "c", "chi", "jacobian_mean", "jacobian_relative_variance", "mi_linear")
    assert list(found) == [(name, layer) for name in quantities for layer in (1, 2)]
    assert found["q", 1]["theory"] == 2.25
    assert found["jacobian_mean", 1]["theory"] == pytest.approx(2.25)
    assert found["mi_linear", 2]["theory"] == pytest.approx(0.7188, abs=5e-4)
    for row in found.values():
        assert abs(row["z"]) <= 3
        values = {
            one["width"]: one["measured"]
            for one in rows
            if one["quantity"] == row["quantity"] and one["layer"] == row["layer"]
        }
        assert values[80] == pytest.approx(values[None] + row["slope"] / 80, rel=1e-9)
        assert values[40] == pytest.approx(values[None] + row["slope"] / 40, rel=1e-9)
        assert row["standard_error"] < 0.1 * row["theory"] + 0.1
        assert row["networks"] == 16


@pytest.mark.thorough
def test_rows_are_the_same_for_any_number_of_jobs_and_every_time(command_line):
    few = ("verify", "--act", "relu", "--sw", "1.4", "--sb", "0.2", "--depth", "2", "--widths", "20,40", "--seeds", "2")
    one, two = (command_line(*few, "--noise-at", "every", "--jobs", jobs) for jobs in ("1", "2"))
    assert one.code == 0
    assert one.out == two.out
    other = command_line(*few, "--noise-at", "every", "--seed", "1")
    assert other.out != one.out
    assert [row["theory"] for row in rows_of(other.out)] == [row["theory"] for row in rows_of(one.out)]


def test_more_networks_or_widths_leave_the_others_as_they_are(command_line, in_this_process):
    base = ("verify", "--act", "tanh", "--sw", "1.2", "--depth", "1", *MAPS_ONLY)
    two, three = (
        rows_of(command_line(*base, "--widths", widths, "--seeds", "3").out) for widths in ("8,16", "8,16,32")
    )
    at_16 = [
        [(row["quantity"], row["measured"]) for row in rows if row["width"] == 16 and row["quantity"] in "q c chi"]
        for rows in (two, three)
    ]
    assert at_16[0] == at_16[1]
    assert at_16[0]


def test_one_width_brings_its_half(command_line, in_this_process):
    rows = rows_of(command_line(*SMALL[:-4], *MAPS_ONLY, "--width", "20", "--seeds", "2").out)
    assert {row["width"] for row in rows} == {10, 20, None}


@pytest.mark.thorough
def test_small_networks_hold_bounds_against_the_true_information(command_line, in_this_process):
    done = command_line(
        *("verify", "--act", "tanh", "--sw", "1.5", "--sb", "0.2", "--sn", "0.5", "--depth", "2", "--widths", "4,8"),
        *("--seeds", "6", "--estimator", "linear", "--estimator", "gaussian_upper", "--estimator", "mean_field"),
    )
    rows = [row for row in limits(rows_of(done.out)) if row["quantity"].startswith("mi_")]
    assert [(row["quantity"], row["layer"], row["relation"]) for row in rows] == [
        ("mi_linear", 1, "equal"),
        ("mi_linear", 2, "equal"),
        ("mi_linear", 2, "at most"),
        ("mi_gaussian_upper", 2, "at least"),
    ]
    bracket = rows[2]["measured"], rows[3]["measured"]
    assert bracket[1] - 0.01 < bracket[0] < bracket[1] + 0.05
    assert rows[2]["z"] > -3
    assert rows[3]["z"] < 3


def test_bits_are_nats_over_ln_2(command_line, in_this_process):
    nats, bits = (rows_of(command_line(*SMALL, "--unit", unit).out) for unit in ("nats", "bits"))
    assert "mi_linear" in {row["quantity"] for row in nats}
    for one, other in zip(nats, bits, strict=True):
        factor = math.log(2) if one["quantity"] == "mi_linear" else 1.0
        for name in ("theory", "measured", "standard_error"):
            assert other[name] * factor == pytest.approx(one[name], rel=1e-14)
        assert other["z"] == one["z"]


def test_an_activation_without_slope_has_no_rows_for_it(command_line, in_this_process):
    rows = rows_of(
        command_line("verify", "--act", "sign", "--sw", "1.5", "--depth", "2", "--widths", "30,60", "--seeds", "6").out
    )
    found = {(row["quantity"], row["layer"]) for row in rows}
    first = {(name, 1) for name in ("jacobian_mean", "jacobian_relative_variance")}  # that of the first matrix
    assert found == {(name, layer) for name in ("q", "c", "mi_linear") for layer in (1, 2)} | first
    assert not [row for row in rows if row["flag"]]


@pytest.mark.parametrize(("width", "shown"), [(80, "16, 24"), (62, ""), (120, "8, 12, 16, 24")])
def test_the_largest_widths_have_room(command_line, in_this_process, monkeypatch, width, shown):
    monkeypatch.setenv("COLUMNS", str(width))
    widths = ("--widths", "8,12,16,24", "--seeds", "2")
    few = ("verify", "--act", "tanh", "--sw", "1.5", "--depth", "1", *widths, *MAPS_ONLY)
    drawn = command_line(*few, "--format", "table").out.splitlines()
    (head,) = (line for line in drawn if line.startswith("quantity"))
    start = drawn.index(head)
    rows = drawn[start : drawn.index("", start)]
    rows = [row for row in rows if not row.startswith("no room")]
    assert len(rows) > 3
    # a remark on one row may be longer than any terminal
    assert all(len(row) <= width for row in rows if not row.rstrip().endswith(("24", "remeasured", "disagrees")))
    for n in (8, 12, 16, 24):
        there = str(n) in shown.split(", ")
        assert (f" n = {n} " in head) == there
        assert any(line.startswith("no room for") and f"n = {n}" in line for line in drawn) != there


def test_files_and_tables(command_line, in_this_process, tmp_path):
    few = ("verify", "--act", "tanh", "--sw", "1.5", "--depth", "1", "--widths", "8,16", "--seeds", "2", *MAPS_ONLY)
    command_line(*few, "-o", tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.column_names == [column.name for column in COLUMNS]
    assert table.column("width").null_count == table.num_rows // 3
    drawn = command_line(*few, "--format", "table").out
    assert "tanh · sigma_w 1.5 · sigma_b 0 · noise 0.1 at the output · gaussian weights" in drawn
    assert "n = 8   n = 16    n = ∞" in drawn
    assert all(len(line) <= 80 for line in drawn.splitlines())
    assert "values agree within 3 standard errors" in drawn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--widths", "10,x"), "'10,x' is not a list of whole numbers from 2"),
        (("--widths", "1,4"), "'1,4' is not a list of whole numbers from 2"),
        (("--widths", "8,8"), "'8,8' names a width twice"),
        (("--seeds", "1"), "--seeds"),
        (("--width", "20", "--samples", "83"), "83 is less than 84"),
        (("--weights", "sparse"), "--weights"),
    ],
)
def test_wrong_options_are_usage_errors(command_line, options, message):
    done = command_line("verify", "--act", "tanh", "--sw", "1.5", "--depth", "1", *options)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""


# Whether it notices


@pytest.mark.parametrize(
    ("quantity", "factor"),
    [
        ("q", 1.2),
        ("c", 0.85),
        ("chi", 1.07),
        ("jacobian_mean", 0.7),
        ("jacobian_relative_variance", 1.3),
        ("mi_linear", 0.96),
    ],
)
def test_a_theory_that_is_off_disagrees(command_line, in_this_process, monkeypatch, quantity, factor):
    def off(setting, effort):
        values = theory_values(setting, effort)
        return {key: value * (factor if key[1] == quantity else 1.0) for key, value in values.items()}

    monkeypatch.setattr(comparing, "theory_values", off)
    done = command_line(*SMALL, *(() if quantity == "mi_linear" else MAPS_ONLY), "--strict")
    assert done.code == 4
    assert f"theory and measurement disagree in 2 values: {quantity}" in done.err
    for row in limits(rows_of(done.out)):
        assert (row["flag"] == "disagrees; remeasured") == (row["quantity"] == quantity)
        assert row["networks"] == (64 if row["quantity"] == quantity else 16)


def test_a_disagreement_is_marked_in_the_table(command_line, in_this_process, monkeypatch):
    def off(setting, effort):
        return {key: value * (1 + (key[1] == "q")) for key, value in theory_values(setting, effort).items()}

    monkeypatch.setattr(comparing, "theory_values", off)
    done = command_line(*SMALL, *MAPS_ONLY, "--format", "table", "--color", "always")
    assert done.code == 0
    assert "2 of 10 values disagree with the theory" in done.out
    red = [line for line in done.out.splitlines() if "\x1b[1;31m" in line]
    assert [line.split()[0].partition("m")[2] for line in red] == ["q", "q", "2"]


def test_a_theory_without_bias_or_with_noise_in_the_wrong_place_disagrees(monkeypatch, in_this_process):
    effort = Effort((20, 40), 8, estimators=("mean_field",))
    true = Setting(get("tanh"), 1.5, 0.8, 0.8, "every", depth=2)
    for wrong in (
        Setting(get("tanh"), 1.5, 0.0, 0.8, "every", depth=2),
        Setting(get("tanh"), 1.5, 0.8, 0.8, "output", depth=2),
        Setting(get("tanh"), 1.5, 0.8, 0.8, "every", "orthogonal", depth=2),
    ):
        monkeypatch.setattr(comparing, "theory_values", lambda _, effort, wrong=wrong: theory_values(wrong, effort))
        assert any(row.disagrees for row in verify(true, effort))
    monkeypatch.setattr(comparing, "theory_values", theory_values)
    assert not any(row.disagrees for row in verify(true, effort))


def test_a_deviation_by_chance_does_not_survive_fresh_networks(monkeypatch, in_this_process):
    def unlucky_at_first(setting, effort, measures, networks, jobs, on_progress):
        samples = simulate(setting, effort, measures, networks, jobs, on_progress)
        if networks[0] == 0:
            for (measure, _), results in samples.items():
                for result in results if measure == "maps" else ():
                    result["q"][1] += 0.5
        return samples

    simulate = comparing._simulate
    monkeypatch.setattr(comparing, "_simulate", unlucky_at_first)
    rows = verify(Setting(get("tanh"), 1.5, depth=2), Effort((30, 60), 6, estimators=("mean_field",)))
    flagged = [row for row in rows if row.flag]
    assert {(row.quantity, row.layer, row.flag) for row in flagged} == {("q", 2, "remeasured")}
    assert {row.networks for row in flagged} == {24, 48}


@pytest.mark.parametrize(
    ("relation", "z", "verdict"),
    [
        ("equal", 2.9, ""),
        ("equal", -3.1, "disagrees"),
        ("at most", 50.0, ""),
        ("at most", -3.1, "disagrees"),
        ("at least", -50.0, ""),
        ("at least", 3.1, "disagrees"),
        ("equal", math.nan, "disagrees"),
    ],
)
def test_verdicts(relation, z, verdict):
    assert comparing._verdict(relation, 1.0, z) == verdict
    assert comparing._verdict(relation, math.nan, z) == "no theory"


def test_information_that_the_theory_fails_to_give_is_missed(command_line, in_this_process, monkeypatch):
    def without(setting, effort):
        values = theory_values(setting, effort)
        return values | {("decoder", "mi_linear"): np.full(setting.depth, np.nan)}

    monkeypatch.setattr(comparing, "theory_values", without)
    done = command_line(*SMALL, "--strict")
    assert done.code == 4
    assert {row["flag"] for row in limits(rows_of(done.out)) if row["quantity"] == "mi_linear"} == {"no theory"}


def test_saturated_brackets_say_so():
    shares = {("information", n): [{"own_share": np.array([np.nan, share])} for share in (0.7, 0.8)] for n in (4, 8)}
    assert comparing._is_saturated(shares, (4, 8))
    shares["information", 4] = shares["information", 8] = [{"own_share": np.array([np.nan, 0.1])}]
    assert not comparing._is_saturated(shares, (4, 8))


# Real inputs


def test_real_inputs_are_mapped_pair_by_pair(in_this_process):
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((40, 30)) * np.exp(rng.standard_normal((40, 1))) + 0.3
    setting = Setting(get("relu"), 1.3, 0.2, 0.3, "every", "orthogonal", 3, pairs=(inputs[:20], inputs[20:]))
    rows = verify(setting, Effort((40, 80), 8))
    assert {row.quantity for row in rows} == {"q", "c", "chi"}
    assert not any(row.disagrees for row in rows)
    first = next(row for row in rows if row.quantity == "q")
    assert first.theory == pytest.approx(1.69 * np.mean(inputs**2) + 0.04)


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".tsv", ".parquet"])
def test_real_inputs_come_from_a_file(command_line, in_this_process, tmp_path, suffix):
    inputs = np.random.default_rng(1).standard_normal((9, 5))
    file = tmp_path / f"inputs{suffix}"
    if suffix == ".npy":
        np.save(file, inputs.reshape(9, 5, 1))
    elif suffix == ".parquet":
        pd.DataFrame(inputs, columns=list("abcde")).to_parquet(file)
    else:
        names = suffix == ".csv"
        pd.DataFrame(inputs, columns=list("abcde")).to_csv(
            file, sep="," if names else "\t", header=names, index=False, float_format="%.17g"
        )
    options = ("--act", "tanh", "--sw", "1.5", "--depth", "1", "--widths", "8,16", "--seeds", "2", "--inputs", file)
    rows = rows_of(command_line("verify", *options).out)
    assert {row["quantity"] for row in rows} == {"q", "c", "chi"}
    first, second = chosen_pairs(inputs, 0)
    assert len(first) == 4
    assert rows[0]["theory"] == pytest.approx(2.25 * np.mean([first**2, second**2]), rel=1e-12)
    assert "4 pairs of real inputs" in command_line("verify", *options, "--format", "table").out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("inputs.txt", b"1", "inputs are read from .npy, .csv"),
        ("inputs.csv", b"a,b\n1,2\n3,x\n", "line 3, column 2 is no number: 'x'"),
        ("inputs.csv", b"1,2\n3,\n", "line 2, column 2 is empty: every cell must hold a number"),
        ("inputs.csv", b"1,2\n", "not two inputs or more"),
        ("inputs.npy", b"", "not a table of numbers"),
        ("absent.csv", None, "No such file"),
    ],
)
def test_files_without_inputs_are_refused(command_line, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = command_line("verify", "--act", "tanh", "--sw", "1.5", "--inputs", tmp_path / name)
    assert done.code == 5
    assert message in done.err


def test_pairs_of_equal_norm_give_what_the_tracked_pair_gives():
    first = np.ones((3, 4))
    second = np.tile([1.0, 1.0, 1.0, -1.0], (3, 1))
    for noise_at in ("output", "every"):
        pairs = Setting(get("tanh"), 1.5, 0.2, 0.4, noise_at, depth=4, pairs=(first, second))
        tracked = Setting(get("tanh"), 1.5, 0.2, 0.4, noise_at, depth=4, correlation=0.5)
        effort = Effort(estimators=("mean_field",))
        for name in ("q", "c", "chi"):
            given, gaussian = (theory_values(setting, effort)["maps", name] for setting in (pairs, tracked))
            np.testing.assert_allclose(given, gaussian, rtol=1e-9)


def test_averages_of_a_ratio_come_from_both_moments():
    samples = [{"mean": np.array([m]), "second": np.array([s])} for m, s in ((1.0, 3.0), (3.0, 11.0), (2.0, 7.0))]
    found = Comparison("jacobian_relative_variance", ("mean", "second")).average(samples)
    assert found.mean[0] == pytest.approx(7 / 4 - 1, abs=0.2)  # not the mean of the ratios, 1.66
    assert found.standard_error[0] > 0


# The list of settings that theory and networks must agree on

DONE_WHEN = ("--act", "tanh", "--sw", "1.5", "--depth", "5", "--width", "400")
SETTINGS = [
    "--act tanh --sw 1.5 --depth 5 --weights orthogonal",
    "--act tanh --sw 1.0 --depth 10",
    "--act tanh --sw 1.3 --sb 0.3 --depth 6 --noise-at every",
    "--act tanh --sw 2.5 --sb 0.1 --depth 3 --sn 0.5",
    "--act tanh --sw 0.7 --depth 4 --qx 3 --weights orthogonal --noise-at every",
    "--act relu --sw 1.4142135623730951 --depth 6",
    "--act relu --sw 1.2 --sb 0.5 --depth 5 --weights orthogonal",
    "--act relu --sw 1.6 --depth 3 --noise-at every --sn 0.2",
    "--act relu --sw 1.0 --sb 0.1 --depth 4 --c0 0.9",
    "--act erf --sw 1.8 --sb 0.2 --depth 5",
    "--act erf --sw 1.2 --depth 4 --weights orthogonal --noise-at every",
    "--act hard_tanh --sw 1.5 --sb 0.2 --depth 4",
    "--act hard_tanh --sw 1.1 --depth 5 --weights orthogonal --sn 0.3",
    "--act leaky_relu(0.2) --sw 1.3 --sb 0.1 --depth 5 --noise-at every",
    "--act elu --sw 1.2 --sb 0.1 --depth 4",
    "--act elu --sw 1.0 --depth 5 --weights orthogonal --c0 -0.3",
    "--act gelu --sw 1.5 --sb 0.3 --depth 4",
    "--act silu --sw 1.7 --depth 3 --weights orthogonal --noise-at every",
    "--act sigmoid --sw 3.0 --sb 0.5 --depth 3",
    "--act softplus --sw 0.8 --sb 0.2 --depth 3 --weights orthogonal",
    "--act sin --sw 1.5 --depth 4",
    "--act sign --sw 1.5 --sb 0.5 --depth 4 --noise-at every --sn 0.3",
    "--act abs --sw 1.0 --sb 0.1 --depth 4 --weights orthogonal",
    "--act linear --sw 1.1 --sb 0.3 --depth 6 --noise-at every",
]


@pytest.mark.slow
def test_the_readme_command_agrees(process):
    done = process("verify", *DONE_WHEN, "--strict")
    assert done.returncode == 0, done.stdout
    assert all(abs(row["z"]) <= 3 for row in limits(rows_of(done.stdout)))


@pytest.mark.slow
@pytest.mark.parametrize("options", SETTINGS)
def test_theory_and_networks_agree(process, options):
    done = process("verify", *options.split(), "--width", "200", "--strict")
    assert done.returncode == 0, done.stdout
    assert all(abs(row["z"]) <= 3 for row in limits(rows_of(done.stdout)))


def test_the_list_of_settings_is_the_promised_one():
    assert len(SETTINGS) == len(set(SETTINGS)) == 24
