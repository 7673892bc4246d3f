"""What comes in the box. Free of torch: the records point at their code by string."""

from __future__ import annotations

import pluggy

from ..contracts.specs import AdapterSpec, RecipeSource, StepSpec, StrategySpec
from .processors import history_readers, samplers
from .stop_rules import stop_rules
from .strategies.records import strategies

# Made here, as the host is on a floor of its own; an outsider imports the same marker as `decodery.hookimpl`.
hookimpl = pluggy.HookimplMarker("decodery")

RECIPES = {
    "greedy": "the best token at each step",
    "sample": "plain sampling, nothing cut",
    "chat": "sampling for conversation: moderate temperature, a cut tail, a light repetition penalty",
    "creative": "sampling for stories: lively but coherent",
    "factual": "sampling close to the best token",
    "hf": "the defaults of transformers' generate, in its layout and with its random numbers",
}


@hookimpl
def provide_steps() -> list[StepSpec]:
    """Processors and stop rules."""
    return [*samplers(), *history_readers(), *stop_rules()]


@hookimpl
def provide_strategies() -> list[StrategySpec]:
    """Ways of choosing tokens."""
    return strategies()


@hookimpl
def provide_adapters() -> list[AdapterSpec]:
    """Ways of driving a model, the most specific first."""
    return [
        AdapterSpec(
            name="hf",
            probe="decodery.models.adapters.hf:probe",
            factory="decodery.models.adapters.hf:HfModel",
            priority=100,
            summary="a transformers causal language model with its cache",
        ),
        AdapterSpec(
            name="hf_encoder_decoder",
            probe="decodery.models.adapters.hf_encoder_decoder:probe",
            factory="decodery.models.adapters.hf_encoder_decoder:HfEncoderDecoder",
            priority=100,
            summary="a transformers encoder-decoder with its caches",
        ),
        AdapterSpec(
            name="encoder_decoder",
            probe="decodery.models.adapters.encoder_decoder:probe",
            factory="decodery.models.adapters.encoder_decoder:EncoderDecoder",
            priority=90,
            summary="a model in two halves: encode(ids) -> memory, decode(ids, memory) -> logits",
        ),
        AdapterSpec(
            name="input_pos",
            probe="decodery.models.adapters.input_pos:probe",
            factory="decodery.models.adapters.input_pos:InputPosModel",
            priority=80,
            summary="model(x, input_pos) with a cache of its own",
        ),
        AdapterSpec(
            name="stateless",
            probe="decodery.models.adapters.stateless:probe",
            factory="decodery.models.adapters.stateless:StatelessModel",
            priority=0,
            summary="any model(x) that returns logits; the whole text is fed at every step",
        ),
    ]


@hookimpl
def provide_recipes() -> list[RecipeSource]:
    """Recipes by name."""
    library = "decodery:recipe/library"
    return [RecipeSource(name, f"{library}/{name}.yaml", summary) for name, summary in RECIPES.items()]
