"""The report of `make coverage`: which modules count, and how lines are added up."""

import json
from pathlib import Path

import coverage_report
import pytest
from coverage_report import numerical, report, share

FILES = {
    "mfmi/cli/main.py": {"summary": {"num_statements": 50}, "missing_lines": list(range(50))},
    "mfmi/chain/potential.py": {"summary": {"num_statements": 30}, "missing_lines": [7]},
    "mfmi/meanfield/_maps.py": {"summary": {"num_statements": 60}, "missing_lines": []},
    "mfmi/meanfield/_edge.py": {"summary": {"num_statements": 10}, "missing_lines": [3, 4]},
}


def test_lines_of_the_numerical_modules_are_added_up() -> None:
    counts = numerical(FILES)
    assert list(counts) == ["mfmi/chain/potential.py", "mfmi/meanfield/_edge.py", "mfmi/meanfield/_maps.py"]
    assert share(counts) == pytest.approx(97.0)
    lines = report(counts).splitlines()
    assert lines[0].split() == ["mfmi/chain", "30", "lines", "96.7", "%"]
    assert lines[2].split() == ["mfmi/meanfield", "70", "lines", "97.1", "%"]
    assert lines[3].strip() == "mfmi/meanfield/_edge.py: 3, 4"
    assert lines[-1].split() == ["numerical", "modules", "100", "lines", "97.0", "%"]


def test_every_module_is_numerical_or_of_the_rooms_that_are_not() -> None:
    root = Path(coverage_report.ROOT)
    names = [str(path.relative_to(root)) for path in (root / "mfmi").rglob("*.py")]
    counted = numerical({name: {"summary": {"num_statements": 1}, "missing_lines": []} for name in names})
    rooms = {name.split("/")[1] for name in counted}
    assert {"activations", "meanfield", "jacobian", "attainable", "datasets", "simulate", "verification"} <= rooms
    assert not rooms & {"cli", "sweep", "report"}


@pytest.mark.parametrize(("missing", "fails"), [([1], False), ([1, 2], True)])
def test_less_than_95_percent_fails(
    missing: list[int], fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "coverage.json"
    data.write_text(
        json.dumps(
            {"files": {"mfmi/chain/potential.py": {"summary": {"num_statements": 30}, "missing_lines": missing}}}
        )
    )
    monkeypatch.setattr("sys.argv", ["coverage_report.py", "--data", str(data)])
    if fails:
        with pytest.raises(SystemExit, match="less than 95 %"):
            coverage_report.main()
    else:
        coverage_report.main()
    assert "chain/potential.py: 1" in capsys.readouterr().out
