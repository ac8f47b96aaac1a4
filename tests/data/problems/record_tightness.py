"""Record how tight the bounds are today: `python tests/data/problems/record_tightness.py` writes tightness.json.

Run it after a bound has become tighter, and read the difference: test_problems.py fails on whatever falls below.
"""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
RESULT = Path(__file__).with_name("tightness.json")


def main() -> None:
    sys.path.insert(0, str(TESTS))
    from problems import pairs, tightness

    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    after: dict[str, dict[str, float]] = {}
    for problem, estimator in pairs():
        ratio = round(tightness(problem, estimator), 6)
        after.setdefault(problem, {})[estimator] = ratio
        old = before.get(problem, {}).get(estimator)
        if old != ratio:
            print(f"{problem}, {estimator}: {old} -> {ratio}", flush=True)
    RESULT.write_text(json.dumps(after, indent=1) + "\n")


if __name__ == "__main__":
    main()
