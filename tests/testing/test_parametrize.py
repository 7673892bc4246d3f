"""`parametrize_with_checks` as an author meets it: in a test file of theirs, run by pytest."""

from __future__ import annotations

import subprocess
import sys

import pytest
from honest_steps import HONEST, Shift, ShiftParams, processor

from decodery.contracts.errors import InvalidInput
from decodery.testing import checks_for, parametrize_with_checks

pytest_plugins = ["pytester"]

AUTHOR = """
import torch
from decodery.contracts.specs import StepSpec
from decodery.testing import parametrize_with_checks

class Revives:
    def __call__(self, input_ids, scores):
        return scores.clamp(min=-1e4)

def idle():
    return lambda input_ids, scores: scores

STATELESS = frozenset({"stateless"})

def my_steps():
    return [StepSpec("revives", "processor", Revives, traits=STATELESS),
            StepSpec("idle", "processor", idle, traits=STATELESS)]

@parametrize_with_checks(my_steps(), %s)
def test_conformance(spec, check):
    check(spec)
"""
CHECK = "never_revives_a_banned_token"


def run(pytester: pytest.Pytester, arguments: str) -> pytest.RunResult:
    pytester.makepyfile(AUTHOR % arguments)
    # Not hypothesis: its summary imports all of it anew, which takes seconds.
    return pytester.runpytest_inprocess("-q", "-rxX", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def total() -> int:
    return 2 * len(checks_for(HONEST["idle"])) - 2  # idle has argmax_invariant as well; AUTHOR's have not


def test_a_broken_promise_is_a_failed_case_with_a_sentence(pytester: pytest.Pytester) -> None:
    result = run(pytester, "{}")
    result.assert_outcomes(failed=1, passed=total() - 1)
    result.stdout.fnmatch_lines(
        [
            "*processor 'revives' gave a banned token a score (with bans)*",
            f"*= check: {CHECK}*",
            "*= help: leave -inf as it is;*expected_failures*",
        ]
    )


def test_an_expected_failure_of_all_specs_may_happen(pytester: pytest.Pytester) -> None:
    result = run(pytester, f"{{{CHECK!r}: 'it forces tokens'}}")
    result.assert_outcomes(xfailed=1, xpassed=1, passed=total() - 2)
    result.stdout.fnmatch_lines([f"XFAIL*revives.{CHECK}*it forces tokens"])


def test_an_expected_failure_of_one_spec_must_happen(pytester: pytest.Pytester) -> None:
    run(pytester, f"{{'revives.{CHECK}': 'it forces tokens'}}").assert_outcomes(xfailed=1, passed=total() - 1)
    result = run(pytester, f"{{'revives.{CHECK}': 'it forces tokens', 'idle.{CHECK}': 'not so'}}")
    result.assert_outcomes(xfailed=1, failed=1, passed=total() - 2)


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ({"expected_failures": {"never_revives": "a typing error"}}, "did you mean"),
        ({"expected_failures": {"keeps_the_best_token": "does not run"}}, "ignores_the_history"),
        ({"expected_failures": {"other.builds": "no such spec"}}, "did you mean"),
        ({"samples": {"trid": {"ids": 2}}}, "did you mean 'tried'"),
        ({"neutral": {"other": {}}}, "there are: tried"),
    ],
)
def test_names_that_fit_nothing_are_refused(arguments: dict[str, object], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        parametrize_with_checks([HONEST["shift"]], **arguments)


def test_nothing_to_check_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing would be checked"):
        parametrize_with_checks([])


def test_the_author_gives_samples_by_name() -> None:
    spec = processor(Shift, "stateless", params=ShiftParams)
    mark = parametrize_with_checks([spec], samples={"tried": [{"ids": 3}, {"ids": [1, 2], "bias": -2}]})
    checks = [case.values[1] for case in mark.args[1]]
    assert all(check.samples == ({"ids": 3}, {"ids": [1, 2], "bias": -2}) for check in checks)


def test_a_check_names_the_parameters_that_failed() -> None:
    spec = processor(Shift, "stateless", params=ShiftParams)
    (check,) = [
        c for c in checks_for(spec, samples={"ids": 3, "bias": 2.5}) if c.name == "ignores_the_history"
    ]
    wrong = processor(lambda ids, bias: lambda i, s: s + i.shape[1], "stateless", params=ShiftParams)
    with pytest.raises(AssertionError, match=r"'tried' with ids=3, bias=2\.5 lacks the trait reads_history"):
        check(wrong)


def test_models_and_statistics_need_no_pytest() -> None:
    code = "import sys, decodery.testing, decodery.testing.conformance; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
