"""A stand-in for the plugin decodery-samplers: its names and parameters, without the code."""

from typing import Annotated, Literal

from decodery import hookimpl
from decodery.contracts.params import alias, params
from decodery.contracts.specs import StepSpec
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host


@params
class TopNSigma:
    n: Annotated[float, alias("top_n_sigma")] = 1.0
    variant: Literal["population", "tgw"] = "population"


@params
class TopA:
    a: Annotated[float, alias("top_a")] = 0.0


@params
class TailFree:
    z: Annotated[float, alias("tfs", "tfs_z")] = 1.0


@params
class Xtc:
    probability: Annotated[float, alias("xtc_probability")] = 0.0
    threshold: Annotated[float, alias("xtc_threshold")] = 0.1
    protect: tuple[str, ...] = ()
    protect_eos: bool = False
    variant: Literal["exempt", "protect_all"] = "exempt"


@params
class DynamicTemperature:
    temperature: float = 1.0
    range: Annotated[float, alias("dynatemp_range")] = 0.0
    exponent: Annotated[float, alias("dynatemp_exponent")] = 1.0


@params
class Quadratic:
    factor: Annotated[float, alias("smoothing_factor")] = 0.0
    curve: Annotated[float, alias("smoothing_curve")] = 1.0


@params
class Penalty:
    penalty: Annotated[float, alias("presence_penalty", "frequency_penalty")] = 0.0
    window: int | None = None
    scope: Literal["output", "all", "prompt"] = "all"


@params
class Dry:
    multiplier: float = 0.0
    base: float = 1.75
    allowed_length: int = 2
    window: int = 0
    breakers: tuple[str, ...] = ("\n", ":", '"', "*")


@params
class Mirostat:
    version: int = 2
    tau: float = 5.0
    eta: float = 0.1
    m: int = 100


@params
class AdaptiveP:
    target: float = -1.0
    decay: float = 0.9


@params
class Tokens:
    ids: tuple[int, ...]


@params
class LogitBias:
    biases: Annotated[tuple[tuple[int | str, float], ...], alias("logit_bias")]


RECORDS = {
    "top_n_sigma": TopNSigma,
    "top_a": TopA,
    "tail_free": TailFree,
    "xtc": Xtc,
    "dynamic_temperature": DynamicTemperature,
    "quadratic": Quadratic,
    "presence_penalty": Penalty,
    "frequency_penalty": Penalty,
    "dry": Dry,
    "mirostat": Mirostat,
    "adaptive_p": AdaptiveP,
    "allowed_tokens": Tokens,
    "logit_bias": LogitBias,
}


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [StepSpec(name, "processor", "nowhere:Nothing", params=kind) for name, kind in RECORDS.items()]


ALONE = Host("")
"""No plugin at all."""
TOGETHER = Host("decodery-samplers", plugins=[PluginInfo("decodery-samplers", "1.0", __name__)])
"""The stand-in is installed."""
