"""What this package brings, as records. Free of torch: the code is named by strings and imported when it is used.

Parameters live here and nowhere else: recipes, error messages, `plugins show` and editors all read these classes.
"""

from typing import Annotated

from pydantic import Field

from decodery import hookimpl
from decodery.contracts.params import NonNegativeFloat, Probability, params
from decodery.contracts.specs import RecipeSource, StepSpec, StrategySpec


@params
class MarginParams:
    margin: NonNegativeFloat


@params
class StuckParams:
    times: Annotated[int, Field(ge=2)] = 4


@params
class EpsilonGreedyParams:
    epsilon: Probability = 0.1


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [
        StepSpec(
            name="margin",
            role="processor",
            factory="acme_decode.margin:Margin",
            params=MarginParams,
            summary="keeps the tokens whose score is at most `margin` below the best one's",
            formula="keep x >= max x - margin",
            when="a cut that is the same however many tokens are good; 2 to 6",
            traits=frozenset({"stateless", "argmax_invariant", "compilable"}),
        ),
        StepSpec(
            name="stuck",
            role="stop",
            factory="acme_decode.stuck:Stuck",
            params=StuckParams,
            summary="ends a row when its newest tokens are the same one, `times` in a row",
            traits=frozenset({"stateless", "reads_history"}),
        ),
    ]


@hookimpl
def provide_strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="epsilon_greedy",
            factory="acme_decode.epsilon_greedy:EpsilonGreedy",
            params=EpsilonGreedyParams,
            summary="draws with probability `epsilon`, and takes the best token otherwise",
        )
    ]


@hookimpl
def provide_recipes() -> list[RecipeSource]:
    return [RecipeSource(name="acme-decode", path="acme_decode:recipe.yaml")]
