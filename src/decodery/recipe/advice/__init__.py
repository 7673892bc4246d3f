"""What `recipe check` warns of: recipes that are good, and do not do what their author thinks."""

from __future__ import annotations

from ..recipe import Examined
from ..report import Problem, Problems
from . import dead, endless, order
from .chain import chain_of


def advise(examined: Examined) -> list[Problem]:
    """The warnings, in the order of the text; none where there are problems."""
    recipe, checked = examined.recipe, examined.checked
    if recipe is None or examined.root is None or checked.strategy is None:
        return []
    warnings = Problems()
    processors = chain_of(recipe.processors, checked.uses["processors"], "processors")
    stops = chain_of(recipe.stop, checked.uses["stop"], "stop")
    dead.under_argmax(recipe.strategy, checked.strategy, processors, warnings)
    dead.after_one_token(processors, warnings)
    dead.beside_a_tighter_one(processors, stops, warnings)
    order.surprises(processors, warnings)
    endless.no_length_limit(stops, examined.root, warnings)
    return sorted(warnings, key=lambda warning: (len(warning.notes), warning.line, warning.column))
