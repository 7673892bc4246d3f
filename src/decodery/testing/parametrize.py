"""The conformance kit as a pytest decorator."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..contracts.errors import InvalidInput
from ..contracts.specs import Spec
from .conformance import Conformance, checks_for
from .values import Values

if TYPE_CHECKING:
    import pytest

Case = tuple[Spec, Conformance]


def parametrize_with_checks(
    specs: Sequence[Spec],
    expected_failures: Mapping[str, str] | None = None,
    *,
    samples: Mapping[str, Values | Sequence[Values]] | None = None,
    neutral: Mapping[str, Values] | None = None,
) -> pytest.MarkDecorator:
    """A case `(spec, check)` for every check that follows from what a spec declares and has.

        @parametrize_with_checks(my_steps(), samples={"top_a": {"a": 0.2}})
        def test_conformance(spec, check):
            check(spec)

    `samples`: name of a spec -> parameters to try, one set or several; derived from the params class when not given.
    For an adapter they are `{"model": ..., "options": {...}}`, a model that it drives (or "module:function").
    `neutral`: name of a spec -> the parameters at which it does nothing.
    `expected_failures`: check -> why it may fail, for all specs; "name.check" for one spec, which then must fail it.
    Raises `InvalidInput` for an empty list, and for names that fit no case.
    """
    import pytest  # noqa: PLC0415  # lazy: the rest of the kit serves scripts without it

    if not specs:
        raise InvalidInput(
            "parametrize_with_checks([]): nothing would be checked", remedy="give it your StepSpecs"
        )
    samples, neutral, expected = samples or {}, neutral or {}, expected_failures or {}
    for given in (samples, neutral):
        _refuse(given, {spec.name for spec in specs}, "spec")
    cases = [
        (spec, check)
        for spec in specs
        for check in checks_for(spec, samples=samples.get(spec.name), neutral=neutral.get(spec.name))
    ]
    refuse_strangers(expected, cases)
    return pytest.mark.parametrize(
        ("spec", "check"),
        [
            pytest.param(spec, check, id=_names(spec, check)[1], marks=marks(spec, check, expected))
            for spec, check in cases
        ],
    )


def marks(spec: Spec, check: Conformance, expected: Mapping[str, str]) -> list[Any]:
    """pytest's marks for a case that is expected to fail: what names the spec as well must fail."""
    import pytest  # noqa: PLC0415  # lazy: as above

    everywhere, here = _names(spec, check)
    if here in expected:
        return [pytest.mark.xfail(reason=expected[here], strict=True, raises=AssertionError)]
    if everywhere in expected:
        return [pytest.mark.xfail(reason=expected[everywhere], strict=False, raises=AssertionError)]
    return []


def refuse_strangers(expected: Mapping[str, str], cases: Sequence[Case]) -> None:
    """Raises `InvalidInput` for an expected failure that names no case."""
    _refuse(expected, {name for spec, check in cases for name in _names(spec, check)}, "check that runs")


def _names(spec: Spec, check: Conformance) -> tuple[str, str]:
    """What `expected_failures` may call a case: for all specs, for this one."""
    return check.name, f"{spec.name}.{check.name}"


def _refuse(given: Collection[str], known: set[str], what: str) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known))}"
            raise InvalidInput(f"parametrize_with_checks: {name!r} names no {what}", remedy=remedy)
