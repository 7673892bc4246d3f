"""Files of other engines, written by hand: the recipe of each, and a line of report for each of its keys."""

from __future__ import annotations

from collections import Counter

import pytest
from samplers_for_presets import ALONE, TOGETHER
from specimens import SPECIMENS, Specimen

from decodery.recipe import foreign

cases = pytest.mark.parametrize("case", SPECIMENS.values(), ids=SPECIMENS)


@cases
def test_the_recipe_is_the_engines_order_with_its_defaults(case: Specimen) -> None:
    assert foreign.loads(case.text, case.form, host=TOGETHER).recipe.to_yaml() == case.recipe


@cases
def test_every_key_has_a_line_and_only_what_is_lossless_is_called_exact(case: Specimen) -> None:
    found = foreign.loads(case.text, case.form, host=TOGETHER)
    assert {line.key for line in found.carried} == case.keys
    assert {line.key for line in found.carried if line.status == "exact"} == case.lossless
    assert all(line.note for line in found.carried if line.status != "exact")
    assert all(line.into or line.note for line in found.carried)


@cases
def test_import_export_import_is_the_same_recipe(case: Specimen) -> None:
    if case.form == "tgw":
        pytest.skip("nobody writes its presets")
    first = foreign.loads(case.text, case.form, host=TOGETHER).recipe
    written = foreign.dumps(first, case.form)
    assert foreign.loads(written.text, case.form, host=TOGETHER).recipe == first


@cases
def test_without_the_plugin_its_steps_are_dropped_with_the_pip_line(case: Specimen) -> None:
    together = foreign.loads(case.text, case.form, host=TOGETHER)
    alone = foreign.loads(case.text, case.form, host=ALONE)
    missing = [step for step in together.recipe.processors if "/" in step.qualified]
    assert [s.qualified for s in alone.recipe.processors] == [
        s.qualified for s in together.recipe.processors if s not in missing
    ]
    told = [line for line in alone.carried if "pip install decodery-samplers" in line.note]
    assert bool(told) == bool(missing)
    assert all(line.status == "dropped" for line in told)


def test_every_format_has_two_specimens() -> None:
    counts = Counter(case.form for case in SPECIMENS.values())
    assert set(counts) == set(foreign.formats())
    assert min(counts.values()) >= 2
