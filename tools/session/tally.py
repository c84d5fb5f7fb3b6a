# SPDX-License-Identifier: Apache-2.0
"""Counts what a test run left behind and prints "PASSED FAILED SKIPPED": `tally.py meson testlog.json`, `tally.py pytest junit.xml`.
A report that is missing or cut off counts as one failure."""

import json
import re
import sys
import xml.etree.ElementTree

TAP_LINE = re.compile(r"^(not ok|ok)\b[^#\n]*(?:#\s*(skip|todo))?", re.IGNORECASE | re.MULTILINE)


def tally_tap(output):
    passed = failed = skipped = 0
    for verdict, directive in TAP_LINE.findall(output):
        if directive.lower() == "skip":
            skipped += 1
        elif verdict.lower() == "ok":
            passed += 1
        elif directive.lower() != "todo":
            failed += 1
    return passed, failed, skipped


def tally_meson_test(test):
    passed, failed, skipped = tally_tap(test.get("stdout", ""))
    if test["result"] == "SKIP":
        return passed, failed, max(skipped, 1)
    if test["result"] not in ("OK", "EXPECTEDFAIL"):
        return passed, max(failed, 1), skipped  # such as a crash after the last line
    return (passed or not skipped), failed, skipped


def tally_meson(path):
    with open(path, encoding="utf-8") as log:
        counts = [tally_meson_test(json.loads(line)) for line in log]
    return [int(sum(column)) for column in zip(*counts)] if counts else [0, 0, 0]


def tally_pytest(path):
    passed = failed = skipped = 0
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        wrong = int(suite.get("failures")) + int(suite.get("errors"))
        left_out = int(suite.get("skipped"))
        failed += wrong
        skipped += left_out
        passed += max(0, int(suite.get("tests")) - wrong - left_out)
    return [passed, failed, skipped]


def main():
    kind, path = sys.argv[1:]
    try:
        print(*(tally_meson if kind == "meson" else tally_pytest)(path))
    except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
        print(f"no usable report in {path}: {error}", file=sys.stderr)
        print(0, 1, 0)


if __name__ == "__main__":
    main()
