"""A plugin with parameters of unusual shapes. Its factories do not exist: reading recipes imports none."""

from dataclasses import field
from typing import Annotated, Literal

from decodery import hookimpl
from decodery.contracts.params import PositiveInt, alias, params
from decodery.contracts.specs import RecipeSource, StepSpec, StrategySpec


@params
class Narrow:
    width: Annotated[int, alias("w")]
    kind: int | str | None = None
    table: dict[str, float] = field(default_factory=dict)
    label: str = ""


@params
class Two:
    first: int
    second: int


@params
class Everything:
    """One parameter of each shape that a recipe can hold; each has a default, the first is None."""

    maybe: int | None = None
    flag: bool = False
    number: float = 0.5
    text: str = ""
    word: Literal["a", "yes", "012"] = "a"
    pairs: tuple[tuple[tuple[int, ...], float], ...] = ()
    texts: tuple[str, ...] = ()
    table: dict[str, str | None] = field(default_factory=dict)


@params
class Nullable:
    """Its first parameter can be null without being null by default, so `null` alone would not say it."""

    limit: int | None = 5


@params
class Tabled:
    """Its first parameter is a mapping, which alone would be read as the parameters."""

    table: dict[str, int] = field(default_factory=dict)


@params
class Rays:
    num_beams: PositiveInt
    length_penalty: float = 1.0


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [
        StepSpec("narrow", "processor", "nowhere:Narrow", Narrow),
        StepSpec("pair", "processor", "nowhere:Pair", Two),
        StepSpec("everything", "processor", "nowhere:Everything", Everything),
        StepSpec("nullable", "processor", "nowhere:Nullable", Nullable),
        StepSpec("tabled", "processor", "nowhere:Tabled", Tabled),
        StepSpec("bare", "stop", "nowhere:Bare"),
        StepSpec("reader", "processor", "nowhere:Reader", traits=frozenset({"reads_history"})),
    ]


@hookimpl
def provide_strategies() -> list[StrategySpec]:
    return [StrategySpec("wide", "nowhere:Wide", Narrow), StrategySpec("rays", "nowhere:Rays", Rays)]


@hookimpl
def provide_recipes() -> list[RecipeSource]:
    return [
        RecipeSource("tight", "acme_for_recipes_data:tight.yaml"),
        RecipeSource("wider", "acme_for_recipes_data:wider.yaml"),
        RecipeSource("outside", "acme_for_recipes_data:outside.yaml"),
        RecipeSource("lost", "acme_for_recipes_data:no/such.yaml"),
        RecipeSource("nowhere", "no_such_package_at_all:x.yaml"),
    ]
