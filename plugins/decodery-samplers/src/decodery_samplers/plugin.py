"""What this package gives decodery. Free of torch: the records point at their code by string."""

from decodery import hookimpl
from decodery.contracts.specs import RecipeSource, StepSpec, StrategySpec

from .specs.choosing import selecting, strategies
from .specs.cutting import cutting
from .specs.penalties import penalties
from .specs.shaping import shaping
from .specs.stopping import stopping
from .specs.text import text
from .specs.zoo import zoo


@hookimpl
def provide_steps() -> list[StepSpec]:
    """Processors and stop rules."""
    return [*text(), *penalties(), *cutting(), *shaping(), *selecting(), *zoo(), *stopping()]


@hookimpl
def provide_strategies() -> list[StrategySpec]:
    """Ways of choosing tokens."""
    return strategies()


RECIPES = {
    "llama.cpp": "llama.cpp's order and defaults",
    "llama.cpp-mirostat": "llama.cpp's order when mirostat is on",
    "vllm": "vLLM's order, everything at its neutral value",
    "tgw": "text-generation-webui's order, everything at its neutral value",
    "kobold": "KoboldCpp's order and defaults",
    "mlx": "mlx-lm's order, everything at its neutral value",
    "exllamav2": "exllamav2's order and defaults",
}


@hookimpl
def provide_recipes() -> list[RecipeSource]:
    """The orders of other engines."""
    return [
        RecipeSource(name, f"decodery_samplers:recipes/{name}.yaml", summary)
        for name, summary in RECIPES.items()
    ]
