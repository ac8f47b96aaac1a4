#!/usr/bin/env bash
# numba 0.68.1, llvmlite 0.50.0: an interrupt (Ctrl-C) while machine code is made is lost; the program goes on.
#
# Expected: SIGINT raises KeyboardInterrupt in the main thread, at the latest when the compilation is over.
# Behaviour: Python sees the signal in its next line of code. While LLVM makes the machine code, that is a callback of
#   llvmlite's, called through ctypes, which prints "Exception ignored on calling ctypes callback function" and drops
#   the KeyboardInterrupt. The function is compiled, called, and returns its value.
# Why it matters: a Ctrl-C in the seconds before a sweep starts may be lost, and the sweep then runs to its end; a
#   program that a supervisor stops once with SIGINT does not stop. What to do: a handler of one's own that sets a flag,
#   looked at after the first call; or a second Ctrl-C.
# Output seen (the timer makes the interrupt fall into the machine code each time; without it about 2 of 11 do):
#   while machine code is made: returned 1.268; reported: KeyboardInterrupt, ignored on calling ctypes callback function
#   while machine code is made: returned 0.735; reported: KeyboardInterrupt, ignored on calling ctypes callback function
#   while machine code is made: returned 0.529; reported: KeyboardInterrupt, ignored on calling ctypes callback function
#   before: KeyboardInterrupt; reported: nothing
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
cat > "$folder/interrupt.py" <<'PYTHON'
import os
import signal
import sys

from llvmlite.binding import ExecutionEngine

make = ExecutionEngine.finalize_object
waiting, reported = [], []


def make_with_timer(engine):
    """Make the machine code as llvmlite does, with an interrupt a millisecond after its start."""
    if waiting:
        waiting.clear()
        signal.setitimer(signal.ITIMER_REAL, 0.001)
    return make(engine)


ExecutionEngine.finalize_object = make_with_timer  # before numba is imported: it keeps the function
import numba  # noqa: E402

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
sys.unraisablehook = lambda seen: reported.append(
    f"{seen.exc_type.__name__}, {(seen.err_msg or '').removeprefix('Exception ').lower()}"
)


def compiled_anew(seed):
    lines = "".join(f"    s += x**{power} / (s + {power + seed + 1}.0)\n" for power in range(60))
    names = {}
    exec(f"def f(x):\n    s = 0.0\n{lines}    return s\n", names)
    return numba.njit(names["f"]), names["f"](0.5)


def call(function):
    reported.clear()
    try:
        return function(0.5), "; ".join(reported)
    except KeyboardInterrupt:
        return None, "; ".join(reported)


numba.njit(lambda x: x + 1.0)(1.0)
for seed in range(3):
    function, expected = compiled_anew(seed)
    waiting.append(True)
    value, report = call(function)
    print(f"while machine code is made: returned {value:.3f}; reported: {report}")
    assert abs(value - expected) < 1e-9 and report.startswith("KeyboardInterrupt") and "ctypes callback" in report
function, _ = compiled_anew(3)
signal.setitimer(signal.ITIMER_REAL, 0.05)
value, report = call(function)
print(f"before: {'KeyboardInterrupt' if value is None else value}; reported: {report or 'nothing'}")
assert value is None and not report
PYTHON
"$folder/venv/bin/python" "$folder/interrupt.py"
echo "as described"
