"""What this package gives decodery. Free of torch: the records point at their code by string."""

from decodery import hookimpl
from decodery.contracts.specs import StepSpec, StrategySpec

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
