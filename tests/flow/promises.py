#!/usr/bin/env python3
"""tests/README.md keeps its word: each test that it names is there and is run. Prints TAP."""
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`([\w/.]+)::([^`]+)`")


def fault(file, point):
    """Why this is no test of ours, or None. A function that nothing else names is never run."""
    path = TESTS / file
    if not path.is_file():
        return "no such file"
    text = path.read_text()
    if path.suffix == ".mjs":
        return None if point in text else "no such promise"
    made = rf"def {point}\(" if path.suffix == ".py" else rf"static void {point}\("
    if not re.search(made, text):
        return "no such function"
    return None if len(re.findall(rf"\b{point}\b", text)) > 1 else "never run"


def main():
    rows = NAMED.findall((TESTS / "README.md").read_text())
    wrong = [f"{file}::{point}: {why}" for file, point in rows if (why := fault(file, point))]
    own = [fault("flow/promises.py", "fault"), fault("flow/promises.py", "nobody"),
           fault("flow/nothing.py", "main"), fault("browser/hostile.mjs", "no promise of anybody")]
    print("1..2")
    print(f"{'not ok' if wrong or len(rows) < 40 else 'ok'} 1 - each of {len(rows)} tests is there")
    for line in wrong:
        print("# " + line)
    told = own == [None, "no such function", "no such file", "no such promise"]
    print(f"{'ok' if told else 'not ok'} 2 - what is not there is noticed")
    sys.exit(1 if wrong or not told or len(rows) < 40 else 0)


main()
