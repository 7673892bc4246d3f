"""Steps that ban unlikely tokens, as records."""

from typing import Annotated, Literal

from pydantic import Field

from decodery.contracts.params import NonNegativeFloat, Probability, alias, params
from decodery.contracts.specs import StepSpec

from .traits import HISTORY, KEEPS_BEST
from .types import MinKeep, Share, Tokens

LOWERED = "decodery_samplers.lowerings.scores"
HERE = "decodery_samplers.cutting"


@params
class TopNSigmaParams:
    n: Annotated[NonNegativeFloat, alias("top_n_sigma")] = 1.0
    variant: Literal["population", "tgw"] = "population"
    min_keep: MinKeep = 1


@params
class TopAParams:
    a: Annotated[Probability, alias("top_a")] = 0.0
    power: NonNegativeFloat = 2.0
    min_keep: MinKeep = 1


@params
class TailFreeParams:
    z: Annotated[Probability, alias("tfs", "tfs_z")] = 1.0
    variant: Literal["hf", "kobold"] = "hf"
    min_keep: MinKeep = 1


@params
class PLessParams:
    min_keep: MinKeep = 1


@params
class PStepParams:
    r: Annotated[Probability, alias("p_step")] = 0.0
    min_keep: MinKeep = 1


@params
class XtcParams:
    probability: Annotated[Share, alias("xtc_probability")] = 0.0
    threshold: Annotated[Share, alias("xtc_threshold")] = 0.1
    protect: Tokens = ()
    protect_eos: bool = False
    variant: Literal["exempt", "protect_all"] = "exempt"
    expected: bool = False
    min_keep: MinKeep = 1


@params
class TopPDecayParams:
    p: Annotated[Probability, alias("top_p")]
    decay: Annotated[float, Field(gt=0, le=1), alias("top_p_decay")] = 1.0
    p_min: Annotated[Probability, alias("top_p_min")] = 1e-6
    reset: Annotated[Tokens, alias("top_p_reset_ids")] = ()
    min_keep: MinKeep = 1


def cutting() -> list[StepSpec]:
    return [
        StepSpec(
            name="top_n_sigma",
            role="processor",
            factory=f"{HERE}.top_n_sigma:TopNSigma",
            params=TopNSigmaParams,
            summary="keeps the tokens within n standard deviations of the best logit",
            formula="keep x >= max x - n * sd(x), sd over the tokens not banned",
            when="high temperatures: the cut is the same before and after one",
            reference="https://arxiv.org/abs/2411.07641",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}:top_n_sigma",
        ),
        StepSpec(
            name="top_a",
            role="processor",
            factory=f"{HERE}.top_a:TopA",
            params=TopAParams,
            summary="keeps the tokens at least as likely as a times a power of the best one's probability",
            formula="keep P >= a * P_1**power",
            when="like min_p with a bound that is milder in open rows, a = 0.1 to 0.4",
            reference="https://github.com/BlinkDL/RWKV-LM",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}:top_a",
        ),
        StepSpec(
            name="tail_free",
            role="processor",
            factory=f"{HERE}.tail_free:TailFree",
            params=TailFreeParams,
            summary="cuts the tail where the sorted probabilities stop bending",
            formula="sort P downwards; cut where the sum of its absolute second differences, normalised, "
            "exceeds z",
            when="presets of KoboldAI's time, 0.9 to 0.97; top_p or min_p in a new recipe",
            reference="https://www.trentonbricken.com/Tail-Free-Sampling/",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}:tail_free",
            aliases=("tfs", "tfs_z"),
        ),
        StepSpec(
            name="p_less",
            role="processor",
            factory=f"{HERE}.p_less:PLess",
            params=PLessParams,
            summary="keeps the tokens at least as likely as two draws are to agree",
            formula="keep P >= the sum of P**2",
            when="a cut with nothing to tune, at any temperature",
            reference="https://arxiv.org/abs/2509.23234",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}:p_less",
        ),
        StepSpec(
            name="p_step",
            role="processor",
            factory=f"{HERE}.p_step:PStep",
            params=PStepParams,
            summary="cuts at the first token whose successor is less than r times as likely",
            formula="sort P downwards; cut behind the first with P_(i+1) < r * P_i",
            when="rows with a clear group of good tokens, r = 0.3 or so",
            reference="https://github.com/ggml-org/llama.cpp/pull/5675",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}:p_step",
        ),
        StepSpec(
            name="xtc",
            role="processor",
            factory=f"{HERE}.xtc:Xtc",
            params=XtcParams,
            summary="with a probability, drops all likely tokens but the least likely of them",
            formula="with this probability: of the tokens with P >= threshold ban all but the "
            "least likely, where two or more are",
            when="stories that fall into stock phrases, 0.5 and 0.1; it drops what is right as well, so "
            "not for facts",
            reference="https://github.com/oobabooga/text-generation-webui/pull/6335",
            needs=frozenset({"rng", "eos"}),
            wants=frozenset({"tokenizer"}),
            traits=frozenset({"compilable"}),
            lowering="decodery_samplers.lowerings.idle:xtc",
        ),
        StepSpec(
            name="top_p_decay",
            role="processor",
            factory=f"{HERE}.top_p_decay:TopPDecay",
            params=TopPDecayParams,
            summary="top-p that narrows with every token and begins anew after a reset token",
            formula="top_p with max(p_min, p * decay**n), n new tokens since the last reset token",
            when="facts: sentences that begin free and end careful",
            reference="https://arxiv.org/abs/2206.04624",
            needs=frozenset({"prompt_lengths"}),
            wants=frozenset({"tokenizer"}),
            traits=HISTORY,
            lowering=f"{LOWERED}:top_p_decay",
        ),
    ]
