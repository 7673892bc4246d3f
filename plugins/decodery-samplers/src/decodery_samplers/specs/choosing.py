"""Ways of choosing tokens, as records: strategies, and the steps that two of them are too."""

from typing import Annotated, Literal

from pydantic import Field

from decodery.contracts.params import NonNegativeInt, PositiveFloat, PositiveInt, alias, params
from decodery.contracts.specs import StepSpec, StrategySpec

from .types import Texts

HERE = "decodery_samplers.choosing"
MIROSTAT = "https://arxiv.org/abs/2007.14966"
ADAPTIVE_P = "https://github.com/ggml-org/llama.cpp/pull/17927"


@params
class MirostatParams:
    version: Annotated[Literal[1, 2], alias("mirostat", "mirostat_mode")] = 2
    tau: Annotated[PositiveFloat, alias("mirostat_tau")] = 5.0
    eta: Annotated[PositiveFloat, alias("mirostat_eta")] = 0.1
    m: PositiveInt = 100


@params
class AdaptivePParams:
    target: Annotated[float, Field(ge=-1, le=1), alias("adaptive_target")] = -1.0
    decay: Annotated[float, Field(ge=0, le=0.99), alias("adaptive_decay")] = 0.9


@params
class BannedPhrasesParams:
    phrases: Annotated[Texts, Field(min_length=1), alias("banned_strings")]
    ignore_case: bool = False
    draw: bool = True


@params
class GumbelWatermarkParams:
    key: NonNegativeInt
    context: PositiveInt = 4


def selecting() -> list[StepSpec]:
    return [
        StepSpec(
            name="mirostat",
            role="processor",
            factory=f"{HERE}.mirostat:MirostatStep",
            params=MirostatParams,
            summary="draws by mirostat and leaves that token alone",
            formula="keep -log2 P <= mu, draw; mu - eta * (surprise - tau) next; version 1 keeps a number of "
            "tokens by a power law",
            when="engines' orders that have it; alone in a recipe it is the strategy `mirostat`",
            reference=MIROSTAT,
            needs=frozenset({"rng"}),
        ),
        StepSpec(
            name="adaptive_p",
            role="processor",
            factory=f"{HERE}.adaptive_p:AdaptivePStep",
            params=AdaptivePParams,
            summary="draws by adaptive-p and leaves that token alone",
            formula="draw by 5 - 10 * d**2 / (1 + d), d = |P - target| / 0.3, the target moved so that the "
            "mean of P stays there",
            when="engines' orders that have it; alone in a recipe it is the strategy `adaptive_p`",
            reference=ADAPTIVE_P,
            needs=frozenset({"rng"}),
            lowering="decodery_samplers.lowerings.idle:adaptive_p",
        ),
    ]


def strategies() -> list[StrategySpec]:
    return [
        StrategySpec(
            name="mirostat",
            factory=f"{HERE}.mirostat:Mirostat",
            params=MirostatParams,
            summary="draws so that the surprise of the text stays at tau bits a token",
            reference=MIROSTAT,
        ),
        StrategySpec(
            name="adaptive_p",
            factory=f"{HERE}.adaptive_p:AdaptiveP",
            params=AdaptivePParams,
            summary="draws tokens whose probability is near a target, on the mean of the text",
            reference=ADAPTIVE_P,
        ),
        StrategySpec(
            name="banned_phrases",
            factory=f"{HERE}.banned_phrases:BannedPhrases",
            params=BannedPhrasesParams,
            summary="takes a phrase back when it is complete, and writes another way",
            reference="https://github.com/sam-paech/antislop-sampler",
            needs=frozenset({"tokenizer"}),
        ),
        StrategySpec(
            name="gumbel_watermark",
            factory=f"{HERE}.gumbel_watermark:GumbelWatermark",
            params=GumbelWatermarkParams,
            summary="draws with numbers that whoever has the key can make again, to detect the text by",
            reference="https://scottaaronson.blog/?p=6823",
            detector=f"{HERE}.gumbel_watermark:detect_gumbel_watermark",
        ),
    ]
