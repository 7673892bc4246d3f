"""What comes in the box. Free of torch: the records point at their code by string."""

from __future__ import annotations

import pluggy

from ..contracts.specs import AdapterSpec, RecipeSource, StepSpec, StrategySpec
from .edits import beginnings_and_ends, encoder_readers, token_lists, values
from .hf_steps import hf_audio_steps, hf_steps
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
    return [
        *samplers(),
        *history_readers(),
        *encoder_readers(),
        *beginnings_and_ends(),
        *token_lists(),
        *values(),
        *hf_steps(),
        *hf_audio_steps(),
        *stop_rules(),
    ]


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
            name="input_pos",
            probe="decodery.models.adapters.input_pos:probe",
            factory="decodery.models.adapters.input_pos:InputPosModel",
            priority=80,
            summary="model(x, input_pos) with a cache of its own",
        ),
        AdapterSpec(
            name="state",
            probe="decodery.models.adapters.state:probe",
            factory="decodery.models.adapters.state:StateModel",
            priority=70,
            summary="model(x, state) that returns the new state, or writes it in place: caches, hidden states",
        ),
        AdapterSpec(
            name="flag",
            probe="decodery.models.adapters.flag:probe",
            factory="decodery.models.adapters.flag:FlagModel",
            priority=60,
            summary="model(x, use_cache=True) with a cache of its own that a method clears",
        ),
        AdapterSpec(
            name="step",
            probe="decodery.models.adapters.step:probe",
            factory="decodery.models.adapters.step:StepModel",
            priority=50,
            summary="model.step(token, state), one token a call",
        ),
        AdapterSpec(
            name="stateless",
            probe="decodery.models.adapters.stateless:probe",
            factory="decodery.models.adapters.stateless:StatelessModel",
            priority=0,
            summary="any model(x) that returns logits; the whole text is fed at every step",
        ),
        AdapterSpec(
            name="rows",
            probe="decodery.models.adapters.rows:probe",
            factory="decodery.models.adapters.rows:RowsModel",
            priority=-10,
            summary="models of one row, each row with a state of its own",
        ),
    ]


@hookimpl
def provide_recipes() -> list[RecipeSource]:
    """Recipes by name."""
    library = "decodery:recipe/library"
    return [RecipeSource(name, f"{library}/{name}.yaml", summary) for name, summary in RECIPES.items()]
