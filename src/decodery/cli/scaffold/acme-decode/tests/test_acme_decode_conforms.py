"""Every claim of the records, tried by decodery's conformance kit."""

from acme_decode.plugin import provide_steps, provide_strategies

from decodery.testing import parametrize_with_checks

SPECS = [*provide_steps(), *provide_strategies()]


@parametrize_with_checks(SPECS, neutral={"margin": {"margin": 1e9}})
def test_conformance(spec, check):
    check(spec)
