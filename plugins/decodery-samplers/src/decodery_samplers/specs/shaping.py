"""Steps that reshape the scores, as records."""

from typing import Annotated

from pydantic import Field

from decodery.contracts.params import FiniteFloat, NonNegativeFloat, PositiveFloat, alias, params
from decodery.contracts.specs import StepSpec

from .traits import KEEPS_BEST, SCORES_ALONE

LOWERED = "decodery_samplers.lowerings.scores"
HERE = "decodery_samplers.shaping"


@params
class DynamicTemperatureParams:
    temperature: PositiveFloat = 1.0
    range: Annotated[NonNegativeFloat, alias("dynatemp_range")] = 0.0
    exponent: Annotated[PositiveFloat, alias("dynatemp_exponent")] = 1.0


@params
class QuadraticParams:
    factor: Annotated[NonNegativeFloat, alias("smoothing_factor")] = 0.0
    curve: Annotated[float, Field(ge=1), alias("smoothing_curve")] = 1.0


@params
class SkewParams:
    skew: Annotated[FiniteFloat, Field(ge=-20, le=20)] = 0.0


def shaping() -> list[StepSpec]:
    return [
        StepSpec(
            name="dynamic_temperature",
            role="processor",
            factory=f"{HERE}.dynamic_temperature:DynamicTemperature",
            params=DynamicTemperatureParams,
            summary="a temperature between t - range and t + range, the higher the more even the row is",
            formula="x / T; T = lo + (hi - lo) * (H / ln n)**exponent, lo and hi = temperature -+ range, n "
            "tokens not banned",
            when="daring where the model is unsure, careful where it is sure",
            reference="https://arxiv.org/abs/2309.02772",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}:dynamic_temperature",
        ),
        StepSpec(
            name="quadratic",
            role="processor",
            factory=f"{HERE}.quadratic:Quadratic",
            params=QuadraticParams,
            summary="bends the scores around the best one: near rivals come nearer, far ones go",
            formula="max x - k * factor * d**2 + s * factor * d**3; d = x - max x, k = (3 - curve) / 2, s = "
            "(curve - 1) / 2",
            when="in the place of a temperature, factor 0.2 to 0.3: near rivals get their turn, the tail "
            "goes",
            reference="https://github.com/oobabooga/text-generation-webui/pull/5403",
            # A curve above 3 lifts near rivals over the best token.
            traits=SCORES_ALONE,
            lowering=f"{LOWERED}:quadratic_",
        ),
        StepSpec(
            name="skew",
            role="processor",
            factory=f"{HERE}.skew:Skew",
            params=SkewParams,
            summary="raises the cumulative distribution, best token first, to the power exp(skew)",
            formula="C**exp(skew) in the place of C, the cumulated P, best token first",
            when="fine steering between greedy (below 0) and even (above 0) without a cut",
            reference="https://github.com/turboderp-org/exllamav2",
            traits=SCORES_ALONE,
            lowering="decodery_samplers.lowerings.idle:skew",
        ),
    ]
