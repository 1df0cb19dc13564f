#!/usr/bin/env python3
"""Counts what a suite's tests did, from what its runner left in the folder of results: Meson's log (JSON), pytest's
JUnit XML, or lines of TAP in the suite's own output. A suite that failed without a failed test counts as one. A test
that needed a second run counts once, by its last. What failed, why, and what was run again stand before the total."""

import argparse
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def count_tap(text):
    """Counts, and the names of what failed, as the others too."""
    lines = re.findall(r"^(not ok|ok)\b(.*)$", text, re.MULTILINE)
    skipped = sum("# SKIP" in rest for _, rest in lines)
    failed = [rest.strip(" -") for word, rest in lines if word == "not ok" and "# TODO" not in rest]
    return [len(lines) - len(failed) - skipped, len(failed), skipped], failed


def count_meson(path):
    total, failed = [0, 0, 0], []
    for line in path.read_text(errors="replace").splitlines():
        test = json.loads(line)
        output = test.get("stdout", "") or ""
        counts, names = count_tap(output)
        for checks, failures, errors in re.findall(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", output):
            bad = int(failures) + int(errors)
            counts = [counts[0] + int(checks) - bad, counts[1] + bad, counts[2]]
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            counts = counts if any(counts) and not counts[1] else [1, 0, 0]
        elif test["result"] == "SKIP":
            counts = [0, 0, 1]
        elif counts[1] == 0:
            counts[1] = 1
        if counts[1]:
            failed += [f"{test['name']}: {name}" for name in names] or [f"{test['name']}: {test['result']}"]
        total = [a + b for a, b in zip(total, counts)]
    return total, failed


def read_junit(path):
    """Counts, what failed and why, and what was run again: an attempt that led to another is a case without a verdict."""
    tests, failed = {}, []
    for case in ElementTree.parse(path).iter("testcase"):
        why = {child.tag: child.get("message", "") for child in case if child.tag in ("failure", "error", "skipped")}
        tests.setdefault((case.get("classname"), case.get("name")), []).append(set(why))
        failed += [f"{case.get('name')}: {message}" for tag, message in why.items() if tag != "skipped"]
    total = [0, 0, 0]
    for attempts in tests.values():
        verdicts = set().union(*attempts)
        total[1 if verdicts & {"failure", "error"} else 2 if verdicts else 0] += 1
    return total, failed, [name for (_, name), attempts in tests.items() if not all(attempts[:-1])]


def count(suite, results, status):
    total, failed, again = [0, 0, 0], [], []
    reports = [path for path in results.iterdir() if re.fullmatch(suite + r"(-\w+)?\.(json|xml)", path.name)]
    for path in reports:
        counts, why, names = read_junit(path) if path.suffix == ".xml" else (*count_meson(path), [])
        total = [a + b for a, b in zip(total, counts)]
        failed += why
        again += names
    if not reports:
        total, failed = count_tap((results / f"{suite}.log").read_text(errors="replace"))
    if status and not total[1]:
        total[1] = 1
        failed.append(f"{suite} ended with {status}")
    return total, failed, again


def line(total):
    return "{} passed, {} failed, {} skipped".format(*total)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--status", type=int, help="exit status of the suite")
    parser.add_argument("--total", action="store_true", help="add up what was counted before")
    parser.add_argument("suite", nargs="?")
    parser.add_argument("results", type=pathlib.Path)
    args = parser.parse_args()
    if args.total:
        suites = [json.loads(path.read_text()) for path in sorted(args.results.glob("*.counts"))]
        total = [sum(column) for column in zip(*(suite["total"] for suite in suites))] or [0, 0, 0]
        again = [name for suite in suites for name in suite["again"]]
        for suite in suites:
            for why in suite["failed"]:
                print("failed: " + " ".join(why.split())[:400])
        if again:
            print(f"{len(again)} needed a second run: {', '.join(again)}")
    else:
        total, failed, again = count(args.suite, args.results, args.status)
        counts = {"total": total, "failed": failed, "again": again}
        (args.results / f"{args.suite}.counts").write_text(json.dumps(counts))
    print(line(total))
    sys.exit(1 if total[1] else 0)


main()
