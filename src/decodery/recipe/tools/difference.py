"""Two recipes: what one does and the other does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from ...contracts.params import param_values
from ...contracts.steps import Step, StrategyUse
from ..recipe import Recipe
from ..syntax.write import plain
from ..written import short

_KEYS = ("compat", "on_bad_row", "include_stop")


@dataclass(frozen=True, slots=True)
class Change:
    """From the first recipe to the second. `path` is the place in it: of "removed" in the first."""

    kind: Literal["changed", "added", "removed", "moved"]
    path: str
    name: str
    before: object = None
    after: object = None


def differences(first: Recipe, second: Recipe) -> list[Change]:
    """What leads from `first` to `second`; [] where both do the same. Names, descriptions and requirements of
    packages change nothing and are not compared."""
    found = list(_strategy(first.strategy, second.strategy))
    found += _lists("processors", first.processors, second.processors)
    found += _lists("stop", first.stop, second.stop)
    for key in _KEYS:
        before, after = getattr(first, key), getattr(second, key)
        if before != after:
            found.append(Change("changed", key, key, before, after))
    return found


def _strategy(first: StrategyUse, second: StrategyUse) -> Iterator[Change]:
    if first.qualified != second.qualified:
        yield Change("changed", "strategy", "strategy", short(first), short(second))
        return
    yield from _values("strategy", first.qualified, first, second)
    if first.seed != second.seed:
        path = f"strategy.{first.qualified}.seed"
        yield Change("changed", path, "strategy.seed", first.seed, second.seed)


def _lists(key: str, first: Sequence[Step], second: Sequence[Step]) -> Iterator[Change]:
    """Steps are paired in their order as far as that goes; of the others those of the same name have moved."""
    names = [step.qualified for step in first], [step.qualified for step in second]
    blocks = SequenceMatcher(a=names[0], b=names[1], autojunk=False).get_matching_blocks()
    pairs = [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]
    gone = [i for i in range(len(first)) if i not in {a for a, _ in pairs}]
    new = [i for i in range(len(second)) if i not in {b for _, b in pairs}]
    moved = []
    for old in list(gone):
        place = next((at for at in new if names[1][at] == names[0][old]), None)
        if place is not None:
            moved.append((old, place))
            gone.remove(old)
            new.remove(place)
    for old in gone:
        yield Change("removed", f"{key}[{old}]", names[0][old], before=short(first[old]))
    for old, place in sorted([*pairs, *moved], key=lambda pair: pair[1]):
        label = _label(names[1], place)
        if (old, place) in moved:
            yield Change("moved", f"{key}[{place}]", label, f"{key}[{old}]", f"{key}[{place}]")
        yield from _values(f"{key}[{place}]", label, first[old], second[place])
    for place in new:
        yield Change("added", f"{key}[{place}]", names[1][place], after=short(second[place]))


def _values(path: str, label: str, first: Step | StrategyUse, second: Step | StrategyUse) -> Iterator[Change]:
    after = param_values(second.params)
    for name, before in param_values(first.params).items():
        if before != after.get(name):
            yield Change(
                "changed", f"{path}.{name}", f"{label}.{name}", plain(before), plain(after.get(name))
            )


def _label(names: Sequence[str], place: int) -> str:
    """`top_p`, or `top_p#2` where there are several: what an override would call it."""
    name = names[place]
    return f"{name}#{Counter(names[: place + 1])[name]}" if Counter(names)[name] > 1 else name
