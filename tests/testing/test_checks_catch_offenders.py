"""Every check is itself proved: who keeps the promise passes, who breaks it is caught, by no other check than said."""

from __future__ import annotations

import re

import pytest
from honest_steps import HONEST
from offending_runs import HONEST_OTHERS
from offending_steps import BLUNDERS, OFFENDERS, Offender

from decodery.contracts.specs import Spec, StepSpec, StrategySpec
from decodery.testing import checks_for
from decodery.testing.checks import ALL


def failures(spec: Spec, **told: object) -> dict[str, str]:
    """The name of each check that fails -> what it says."""
    found = {}
    for check in checks_for(spec, **told):
        try:
            check(spec)
        except AssertionError as error:
            found[check.name] = str(error)
    return found


@pytest.mark.parametrize("name", HONEST)
def test_who_keeps_every_promise_passes(name: str) -> None:
    assert failures(HONEST[name]) == {}


@pytest.mark.parametrize("name", HONEST_OTHERS)
def test_models_and_adapters_that_keep_every_promise_pass(name: str) -> None:
    spec, told = HONEST_OTHERS[name]
    assert failures(spec, **told) == {}


@pytest.mark.parametrize("offender", OFFENDERS, ids=lambda offender: offender.what)
def test_an_offender_is_caught(offender: Offender, capfd: pytest.CaptureFixture[str]) -> None:
    found = failures(offender.spec, **offender.told)
    assert set(found) == offender.caught_by
    for name, message in found.items():
        assert "'tried'" in message
        assert f"= check: {name}" in message
        assert "= help: " in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("spec", "name", "words"), BLUNDERS)
def test_a_blunder_is_told_in_plain_words(spec: StepSpec | StrategySpec, name: str, words: str) -> None:
    (check,) = [check for check in checks_for(spec) if check.name == name]
    with pytest.raises(AssertionError, match=re.escape(words)):
        check(spec)


def test_every_check_has_an_offender() -> None:
    caught = {name for offender in OFFENDERS for name in offender.caught_by}
    # The one that needs a package on the disk is tried in test_torch_free_plugins.py.
    assert caught | {"imports_without_torch"} == {check.name for check in ALL}
