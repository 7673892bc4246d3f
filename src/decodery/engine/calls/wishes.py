"""The arguments of `generate` and `stream`, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Observer
from ..pipeline import Pipeline
from ..rng import check_seed, fresh_seed


@dataclass(frozen=True, slots=True)
class Wishes:
    """The arguments of `generate`."""

    n: int | None = None
    seed: int | None = None
    seeds: Sequence[int] | None = None
    max_new_tokens: int | None = None
    logprobs: int | None = None
    return_scores: bool = False
    observers: Sequence[Observer] = ()


def check_wishes(
    n: int | None,
    seed: int | None,
    seeds: Sequence[int] | None,
    max_new_tokens: int | None,
    logprobs: int | None,
    return_scores: bool,
    observers: Sequence[Observer],
) -> Wishes:
    """The arguments of `generate`, checked. Raises `InvalidInput`."""
    for name, value, least in (("n", n, 1), ("logprobs", logprobs, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InvalidInput(f"{name} = {value!r}", remedy=f"give a whole number from {least} on")
    if seeds is not None:
        if isinstance(seeds, (str, bytes)) or not hasattr(seeds, "__iter__"):
            raise InvalidInput(f"seeds = {seeds!r}", remedy="give a list with one seed a prompt")
        seeds = [check_seed(value) for value in seeds]
    if isinstance(observers, (str, bytes)) or not isinstance(observers, Sequence):
        raise InvalidInput(f"observers = {observers!r:.60}", remedy="give a list of observers")
    seed = None if seed is None else check_seed(seed)
    return Wishes(n, seed, seeds, max_new_tokens, logprobs, return_scores, observers)


def choose_seed(pipeline: Pipeline, wishes: Wishes, prompts: int) -> int | None:
    """The call's seed: the argument, the recipe's, or a fresh one where something is drawn; None where each prompt has
    its own."""
    if wishes.seeds is not None and wishes.seed is not None:
        raise InvalidInput("seed= and seeds= were both given", remedy="give one of them")
    if wishes.seeds is not None and len(wishes.seeds) != prompts:
        raise InvalidInput(
            f"{len(wishes.seeds)} seeds for {prompts} prompts", remedy="give one seed a prompt"
        )
    use, hf = pipeline.effective_strategy, pipeline.compatibility == "hf"
    if hf and wishes.seeds is not None:
        raise InvalidInput(
            "compat: hf draws all rows from one generator, so rows have no seeds of their own",
            remedy="use seed=, or leave compat out",
        )
    if wishes.seeds is not None:
        return None
    seed = use.seed if wishes.seed is None else wishes.seed
    if seed is not None or hf:
        return seed
    steps = (*pipeline.processors, *pipeline.effective_stops)
    drawn = use.spec.draw != "argmax" or any("rng" in step.spec.needs for step in steps)
    return fresh_seed() if drawn else None
