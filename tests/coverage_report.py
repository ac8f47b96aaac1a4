"""Coverage of the numerical modules by the fast tests, package by package; fails below 95 %.

    python tests/coverage_report.py [--data build/coverage.json]        (make coverage)

Tests that only start other processes count for nothing: lines are counted in the processes of pytest. With --data a
run that was recorded before is reported again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAST = 95.0
# What has no numerics: the command line, files and processes, figures and words.
OTHER = ("mfmi/cli/", "mfmi/sweep/", "mfmi/report/", "mfmi/__", "mfmi/errors.py", "mfmi/names.py")

Counts = dict[str, tuple[int, list[int]]]


def numerical(files: dict[str, dict]) -> Counts:
    """Lines of each numerical module, and those that no test ran."""
    return {
        name: (file["summary"]["num_statements"], file["missing_lines"])
        for name, file in sorted(files.items())
        if not name.startswith(OTHER)
    }


def share(counts: Counts) -> float:
    """Lines that ran, in percent."""
    lines = sum(total for total, _ in counts.values())
    return 100.0 * (1.0 - sum(len(missing) for _, missing in counts.values()) / lines)


def report(counts: Counts) -> str:
    """A line for each room, the modules with holes below it, and the whole."""
    rooms: dict[str, Counts] = {}
    for name, entry in counts.items():
        parts = name.split("/")
        rooms.setdefault("/".join(parts[:2]), {})[name] = entry
    text = []
    for room, modules in rooms.items():
        lines = sum(total for total, _ in modules.values())
        text.append(f"{room:<32} {lines:>6} lines {share(modules):>6.1f} %")
        for name, (_, missing) in modules.items():
            if missing:
                text.append(f"    {name}: {', '.join(map(str, missing))}")
    lines = sum(total for total, _ in counts.values())
    return "\n".join([*text, f"{'numerical modules':<32} {lines:>6} lines {share(counts):>6.1f} %"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FILE", help="a run recorded before")
    options = parser.parse_args()
    data = options.data or ROOT / "build" / "coverage.json"
    if not options.data:
        data.parent.mkdir(exist_ok=True)
        pytest = [sys.executable, "-m", "pytest", "-m", "not slow", "-q", "-n", "2", "--dist", "loadfile"]
        subprocess.run([*pytest, "--cov", "--cov-report", f"json:{data}"], cwd=ROOT, check=True)
    counts = numerical(json.loads(data.read_text())["files"])
    print(report(counts))
    if share(counts) < LEAST:
        sys.exit(f"less than {LEAST:g} %")


if __name__ == "__main__":
    main()
