#!/usr/bin/env python3
"""Whether count.py counts: each test once, by its last run, and those that were run again by name."""

import pathlib
import subprocess
import sys
import tempfile

CASES = """<testsuites><testsuite>
<testcase classname="a" name="passes"/>
<testcase classname="a" name="shaky"/><testcase classname="a" name="shaky"/>
<testcase classname="a" name="broken"/><testcase classname="a" name="broken"><failure/></testcase>
<testcase classname="b" name="broken"><failure message="assert 1 == 2&#10; + 1"/></testcase>
<testcase classname="b" name="broken"><error message="no such room"/></testcase>
<testcase classname="b" name="left out"><skipped/></testcase>
</testsuite></testsuites>"""


def count(*args):
    script = pathlib.Path(__file__).parent / "count.py"
    result = subprocess.run([sys.executable, script, *args], capture_output=True, text=True)
    return result.returncode, result.stdout.splitlines()


def check(name, got, expected):
    print(f"{'ok' if got == expected else 'not ok'} - {name}")
    if got != expected:
        print(f"# {got} instead of {expected}")


with tempfile.TemporaryDirectory() as results:
    pathlib.Path(results, "integration.xml").write_text(CASES)
    pathlib.Path(results, "checks.log").write_text("ok - one\nnot ok - two\nok - three # SKIP\n")
    print("1..4")
    check("a suite of pytest", count("--status", "1", "integration", results), (1, ["2 passed, 2 failed, 1 skipped"]))
    check("a suite of TAP", count("--status", "0", "checks", results), (1, ["1 passed, 1 failed, 1 skipped"]))
    check(
        "the total names what failed and what was run again",
        count("--total", results),
        (
            1,
            [
                "failed: two",
                "failed: broken:",
                "failed: broken: assert 1 == 2 + 1",
                "failed: broken: no such room",
                "2 needed a second run: shaky, broken",
                "3 passed, 3 failed, 2 skipped",
            ],
        ),
    )
    pathlib.Path(results, "fuzz.log").write_text("ok - one\n")
    check("a suite that fails without a failed test", count("--status", "3", "fuzz", results)[1], ["1 passed, 1 failed, 0 skipped"])
