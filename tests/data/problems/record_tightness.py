"""Record how tight the bounds are today: `python tests/data/problems/record_tightness.py` writes tightness.json.

Run it after a bound has become tighter, and read the difference: test_tightness fails on whatever falls below.
"""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
RESULT = Path(__file__).with_name("tightness.json")


def main() -> None:
    sys.path[:0] = [str(TESTS), str(TESTS / "bounds")]
    if not RESULT.exists():
        RESULT.write_text("{}\n")
    from test_tightness import pairs, tightness

    before = json.loads(RESULT.read_text())
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
