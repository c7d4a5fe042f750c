#!/usr/bin/python3
"""Runs modules of CPython's own tests, as `python3 -m test` does, with one line for each result:

    case test.test_os.FileTests.test_access: ok

Results are ok, skipped, failed and expected (a failure that CPython expects), the last three with a
reason; tracebacks are on standard error. `start NAME` precedes what could hang. `+WORD` runs only
tests with WORD in their names, `-WORD` leaves those out.
"""
import faulthandler
import os
import sys
import unittest

from test import support
from test.support import os_helper

# Without networks beyond this machine, displays and gigabytes of files.
support.use_resources = ["cpu", "subprocess", "walltime"]
# A test that takes longer hangs; a guest under emulation is slow.
DEADLINE = float(os.environ.get("TEST_DEADLINE", "300"))


def last_line(text):
    lines = [line for line in str(text).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


class Result(unittest.TestResult):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def say(self, text):
        self.output.write(text + "\n")
        self.output.flush()

    def startTest(self, test):
        super().startTest(test)
        self.outcome = ("ok", "")
        faulthandler.dump_traceback_later(DEADLINE, exit=True)
        self.say(f"start {test.id()}")

    def note(self, test, kind, reason, details=""):
        if getattr(test, "_testMethodName", None) is None or not hasattr(self, "outcome"):
            # A whole module or class.
            self.say(f"case {test.id()}: {kind} {reason}")
        elif self.outcome[0] != "failed":
            self.outcome = (kind, reason)
        if details:
            print(f"--- {test.id()}\n{details}", file=sys.stderr, flush=True)

    def failed(self, test, error):
        details = self._exc_info_to_string(error, test)
        self.note(test, "failed", last_line(details), details)

    def addError(self, test, error):
        self.failed(test, error)

    def addFailure(self, test, error):
        self.failed(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.failed(test, error)

    def addSkip(self, test, reason):
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test, error):
        self.note(test, "expected", last_line(error[1]))

    def addUnexpectedSuccess(self, test):
        self.note(test, "failed", "unexpected success")

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        kind, reason = self.outcome
        self.say(f"case {test.id()}: {kind} {reason}".rstrip())
        del self.outcome


def selected(suite, wanted, unwanted):
    """The same suite with only the tests that are wanted; classes and modules stay together."""
    if not isinstance(suite, unittest.TestSuite):
        name = suite.id()
        is_wanted = not wanted or any(word in name for word in wanted)
        return suite if is_wanted and not any(word in name for word in unwanted) else None
    tests = (selected(test, wanted, unwanted) for test in suite)
    return type(suite)(test for test in tests if test is not None)


def main():
    # Tests replace the standard streams.
    output = os.fdopen(os.dup(1), "w")
    modules = [word for word in sys.argv[1:] if word.startswith("test_")]
    wanted = [word[1:] for word in sys.argv[1:] if word.startswith("+")]
    unwanted = [word[1:] for word in sys.argv[1:] if word.startswith("-")]
    support.PGO = False
    faulthandler.enable()
    with os_helper.temp_cwd("cpython", quiet=True):
        loader = unittest.TestLoader()
        for module in modules:
            suite = loader.loadTestsFromName(f"test.{module}")
            selected(suite, wanted, unwanted).run(Result(output))
            support.reap_children()
    print("end", file=output, flush=True)


if __name__ == "__main__":
    main()
