"""A plugin whose `xtc` is another one."""

from decodery import hookimpl
from decodery.contracts.params import params
from decodery.contracts.specs import StepSpec
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host


@params
class Xtc:
    strength: float


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [StepSpec("xtc", "processor", "nowhere:Nothing", params=Xtc)]


ACME = PluginInfo("acme", "1.0", __name__)
OTHER = Host("acme", plugins=[ACME])
BOTH = Host(
    "acme,decodery-samplers", plugins=[ACME, PluginInfo("decodery-samplers", "1.0", "samplers_for_presets")]
)
