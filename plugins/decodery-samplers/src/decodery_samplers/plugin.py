"""What this package gives decodery. Free of torch: the records point at their code by string."""

from decodery import hookimpl
from decodery.contracts.specs import StepSpec

from .specs.cutting import cutting
from .specs.penalties import penalties
from .specs.shaping import shaping
from .specs.text import text


@hookimpl
def provide_steps() -> list[StepSpec]:
    """Processors and stop rules."""
    return [*text(), *penalties(), *cutting(), *shaping()]
