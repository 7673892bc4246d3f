"""`dead-step`: a step that can change nothing where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from ...contracts.specs import StrategySpec
from ...contracts.steps import StrategyUse
from ..report import Problem, Problems
from ..steps import Use
from ..syntax.nodes import MappingNode
from .chain import Link
from .facts import TIGHTER


def under_argmax(
    strategy: StrategyUse, use: Use[StrategySpec], processors: Sequence[Link], warnings: Problems
) -> None:
    """A strategy that takes the best token does not see what leaves the best token where it is, nor a seed."""
    if strategy.spec.draw != "argmax":
        return
    name = use.name.text
    for link in processors:
        if link.keeps_a_best_token and not link.is_neutral:
            link.warn(
                warnings,
                "dead-step",
                f"{link.label} changes nothing under the strategy {name!r}, which takes the best token",
                "write 'strategy: sample' to draw from what it leaves, or take the step out",
            )
    entry = use.given.get("seed") if isinstance(use.given, MappingNode) else None
    if strategy.seed is not None and entry and not any("rng" in link.spec.needs for link in processors):
        message = f"the seed changes nothing: {name!r} draws no random numbers"
        remedy = "write 'strategy: {sample: {seed: ...}}', or take the seed out"
        path = f"strategy.{name}.seed"
        warnings.put(Problem.at(entry.key.span, "dead-step", message, remedy, path, "warning"))


def after_one_token(processors: Sequence[Link], warnings: Problems) -> None:
    """`top_k: 1` leaves one token, and nothing to cut or to warm up."""
    first = next((link for link in processors if _leaves_one(link)), None)
    if first is None:
        return
    for link in processors[processors.index(first) + 1 :]:
        if link.family in ("cut", "temperature") or "argmax_invariant" in link.spec.traits:
            message = f"{link.label} changes nothing: {first.label} ({first.path}) leaves one token"
            link.warn(warnings, "dead-step", message, "take one of the two out")


def beside_a_tighter_one(processors: Sequence[Link], stops: Sequence[Link], warnings: Problems) -> None:
    """The same rule twice, where the looser one has nothing left to do."""
    for links in (processors, stops):
        for index, link in enumerate(links):
            # A cut can only be made idle by an earlier one; of bans and stop rules the tightest counts wherever it is.
            others = links[:index] if link.family == "cut" else [*links[:index], *links[index + 1 :]]
            tighter = next(
                (other for other in others if _is_idle_beside(link, other, links)),
                None,
            )
            if tighter is not None:
                message = (
                    f"{link.label} changes nothing: {tighter.label} ({tighter.path}) is as tight or tighter"
                )
                link.warn(warnings, "dead-step", message, "take it out, or make it the tighter of the two")


def _leaves_one(link: Link) -> bool:
    return link.spec.name == "top_k" and link.value == 1 and link.values.get("min_keep") == 1


def _is_idle_beside(link: Link, other: Link, links: Sequence[Link]) -> bool:
    direction = TIGHTER.get(link.spec.name)
    if direction is None or other.spec != link.spec or link.is_neutral or other.is_neutral:
        return False
    mine, its = link.value, other.value
    if not isinstance(mine, (int, float)) or not isinstance(its, (int, float)):
        return False
    if mine == its and link.family != "cut" and links.index(link) < links.index(other):
        return False  # of two equal ones the second is told
    if mine < its if direction == "smaller" else mine > its:
        return False
    return _otherwise_as_tight(link, other) and (
        link.spec.name in ("top_k", "no_repeat_ngram")
        or link.family != "cut"
        or _only_cuts(other, link, links)
    )


def _otherwise_as_tight(link: Link, other: Link) -> bool:
    """The parameters behind the first do not make `link` cut what `other` left."""
    for name, value in list(link.values.items())[1:]:
        its = other.values.get(name)
        if name == "min_keep" and isinstance(value, int) and isinstance(its, int) and value >= its:
            continue
        if value != its:
            return False
    return True


def _only_cuts(first: Link, last: Link, links: Sequence[Link]) -> bool:
    # A cut leaves the ratios of what it keeps, and makes every probability greater.
    between = links[links.index(first) + 1 : links.index(last)]
    return all(link.family == "cut" for link in between)
