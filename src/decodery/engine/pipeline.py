"""Pipeline: strategy, processors and stop rules as an immutable value, built by code or from a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput, NotSerializable
from ..contracts.steps import Step, StrategyUse, fill
from ..host.registry import Host
from ..recipe.recipe import Recipe, default_stop
from .building import made_step, place_of, written
from .into_hf.facts import Told
from .into_hf.lists import HF_FACTS, hf_criteria, hf_processors, read_facts
from .own_loop.bound import BoundPipeline, bind_pipeline
from .own_loop.unbound import as_batch, look_at, pick_unbound, unbound_plan, whole_view
from .plan.plan import Plan
from .rng import check_seed
from .steps.opaque import is_opaque, opaque_strategy


@dataclass(frozen=True, eq=False, repr=False)
class Pipeline:
    """A value: every method returns a new one; equal content is equal; it may serve many threads.

    `pipe(x, logits)` processes, `pipe.pick(x, logits)` also chooses, `pipe.bind(...)` serves steps that keep state or
    need facts. Without a strategy it is greedy; without a stop rule a run ends at eos or after 256 new tokens.
    """

    strategy: StrategyUse | None = None
    processors: tuple[Step, ...] = ()
    stops: tuple[Step, ...] = ()
    compatibility: Literal["hf"] | None = None
    on_bad_row: Literal["error", "stop_row"] = "error"
    include_stop: bool = False
    name: str = ""
    host: Host = field(default_factory=Host)
    description: str = ""
    requires: tuple[str, ...] = ()

    # -- building ---------------------------------------------------------------------------------------------

    def add(
        self,
        step: Any,
        value: object = None,
        /,
        *,
        at: int | None = None,
        stateless: bool = False,
        **params: object,
    ) -> Pipeline:
        """Add a processor: a registered name, or any object or class with HF's signature.

        `value` sets the step's first parameter; `at` is its place (the end). `stateless=True` vouches that an object
        keeps nothing between calls. Raises `UnknownName`, `InvalidParams`, `InvalidInput`.
        """
        made = made_step(self.host, "processor", step, value, stateless, params)
        steps = list(self.processors)
        if at is not None and not (isinstance(at, int) and -len(steps) <= at <= len(steps)):
            raise InvalidInput(
                f"at = {at!r}", remedy=f"there are {len(steps)} processors: 0 is the first place"
            )
        steps.insert(len(steps) if at is None else at, made)
        return replace(self, processors=tuple(steps))

    def stop(
        self, rule: Any, value: object = None, /, *, stateless: bool = False, **params: object
    ) -> Pipeline:
        """Add a stop rule, likewise."""
        return replace(
            self, stops=(*self.stops, made_step(self.host, "stop", rule, value, stateless, params))
        )

    def with_strategy(self, strategy: Any, /, *, seed: int | None = None, **params: object) -> Pipeline:
        """Choose by this strategy: a registered name, or an object or class with `choose(scores, rng)` or
        `decode(run)`. `seed` makes its draws repeatable."""
        seed = None if seed is None else check_seed(seed)
        if not isinstance(strategy, str):
            return replace(self, strategy=StrategyUse(opaque_strategy(strategy, params), None, "", seed))
        qualified, spec = self.host.strategy(strategy)
        return replace(self, strategy=StrategyUse(spec, fill(spec, params), qualified, seed))

    def compat(self, engine: Literal["hf"] | None) -> Pipeline:
        """`compat("hf")`: transformers' layout, generator and very tokens. None takes it back."""
        if engine not in ("hf", None):
            raise InvalidInput(
                f"compat({engine!r}): no such engine", remedy="compat('hf') is the one there is"
            )
        return replace(self, compatibility=engine)

    def drop(self, name: str) -> Pipeline:
        """Take a step out: "top_k", or "top_k#2" where it occurs more than once."""
        place = place_of(self.processors, name)
        return replace(self, processors=self.processors[:place] + self.processors[place + 1 :])

    def replace(self, name: str, step: Any, value: object = None, /, **params: object) -> Pipeline:
        """Put another step in the place of one."""
        place = place_of(self.processors, name)
        made = made_step(self.host, "processor", step, value, False, params)
        return replace(self, processors=(*self.processors[:place], made, *self.processors[place + 1 :]))

    def with_options(
        self, *, on_bad_row: Literal["error", "stop_row"] | None = None, include_stop: bool | None = None
    ) -> Pipeline:
        """Set what a recipe's top-level keys of the same names set."""
        if on_bad_row not in (None, "error", "stop_row"):
            raise InvalidInput(f"on_bad_row = {on_bad_row!r}", remedy="it is 'error' or 'stop_row'")
        if include_stop not in (None, True, False):
            raise InvalidInput(f"include_stop = {include_stop!r}", remedy="it is True or False")
        return replace(
            self,
            on_bad_row=on_bad_row or self.on_bad_row,
            include_stop=self.include_stop if include_stop is None else include_stop,
        )

    # -- using ------------------------------------------------------------------------------------------------

    def __call__(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        """(B, T) int64, (B, V) -> (B, V) scores; (T,) and (V,) give (V,). `logits` stays as it was.

        Raises `NeedsBind` for steps that keep state or need facts, `InvalidInput` for other shapes.
        """
        ids, rows = as_batch(input_ids, logits)
        plan = self.plan
        if not plan.looked:
            look_at(plan, ids, rows.shape[1])
        return plan(whole_view(ids, ids.shape[1]), rows).reshape(
            logits.shape
        )  # (1, V) -> (V,) where it came so

    def pick(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        """(B, T) int64, (B, V) -> (B,) int64: the next token of each row; (T,) and (V,) give (1,).

        A row's draw follows from seed, row index and length; without a seed, from torch's global generator.
        Raises `BadRow` as well.
        """
        ids, rows = as_batch(input_ids, logits)
        plan = self.plan
        if not plan.looked:
            look_at(plan, ids, rows.shape[1])
        return pick_unbound(self.effective_strategy, self.compatibility, plan, ids, rows)

    def bind(
        self,
        prompt: Tensor,
        *,
        vocab_size: int | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        pad_token_id: int | None = None,
        tokenizer: Any = None,
        encoder_ids: Tensor | None = None,
        max_length: int | None = None,
        device: torch.device | str | None = None,
        seed: int | None = None,
    ) -> BoundPipeline:
        """Fresh objects for one run that begins with `prompt`, (B, T) or (T,) int64."""
        return bind_pipeline(
            self.processors,
            self.effective_stops,
            self.effective_strategy,
            self.compatibility,
            prompt,
            vocab_size=vocab_size,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
            tokenizer=tokenizer,
            encoder_ids=encoder_ids,
            max_length=max_length,
            device=device,
            seed=seed,
            host=self.host,
        )

    def to_hf(self, prompt: Tensor | None = None, /, **facts: Any) -> Any:
        """The processors as a `LogitsProcessorList`: `model.generate(..., logits_processor=pipe.to_hf())`.

        Facts are those of `bind`, and all may be absent: the prompt is then what `generate` shows first.
        `attention_mask` (B, T) says where its left padding is, `encoder_attention_mask` (B, S) where that of
        `encoder_ids` is. How a token is chosen stays with `generate`. Raises `InvalidInput` for what a list of
        processors cannot carry: a strategy that does not choose by argmax or one draw, `on_bad_row: stop_row`.
        """
        return hf_processors(
            self.processors, self.effective_strategy, self._told(prompt, facts), self.on_bad_row
        )

    def to_hf_stopping(self, prompt: Tensor | None = None, /, **facts: Any) -> Any:
        """The stop rules as a `StoppingCriteriaList`, for the same facts. `generate` keeps its own beside them: its
        `max_new_tokens` too must be long enough."""
        return hf_criteria(self.effective_stops, self.effective_strategy, self._told(prompt, facts))

    @property
    def effective_strategy(self) -> StrategyUse:
        """The strategy, greedy unless one was chosen."""
        if self.strategy is not None:
            return self.strategy
        qualified, spec = self.host.strategy("greedy")
        return StrategyUse(spec, fill(spec, {}), qualified)

    @property
    def effective_stops(self) -> tuple[Step, ...]:
        """The stop rules, eos and 256 new tokens unless some were given."""
        return self.stops or default_stop(self.host)

    # -- as data ----------------------------------------------------------------------------------------------

    @classmethod
    def from_recipe(cls, recipe: Recipe, host: Host | None = None) -> Pipeline:
        """The pipeline that a recipe describes."""
        return cls(
            recipe.strategy,
            recipe.processors,
            recipe.stop,
            recipe.compat,
            recipe.on_bad_row,
            recipe.include_stop,
            recipe.name,
            host or Host(),
            recipe.description,
            recipe.requires,
        )

    def to_recipe(self) -> Recipe:
        """The recipe that describes this pipeline. Raises `NotSerializable` naming a step that no plugin registered."""
        for step in (*self.processors, *self.stops, *((self.strategy,) if self.strategy else ())):
            if is_opaque(step):
                raise NotSerializable(
                    f"{step.spec.name!r} is an object that no plugin registered",
                    remedy="give it a name: a package with the entry point 'decodery' can",
                )
        return Recipe(
            strategy=self.effective_strategy,
            processors=self.processors,
            stop=self.effective_stops,
            name=self.name,
            description=self.description,
            compat=self.compatibility,
            on_bad_row=self.on_bad_row,
            include_stop=self.include_stop,
            requires=self.requires,
        )

    def __repr__(self) -> str:
        parts = ["Pipeline()"]
        if self.compatibility:
            parts.append(f"compat({self.compatibility!r})")
        if self.strategy is not None:
            parts.append(f"with_strategy({written(self.strategy)})")
        parts += [f"add({written(step)})" for step in self.processors]
        parts += [f"stop({written(step)})" for step in self.stops]
        if self.on_bad_row != "error" or self.include_stop:
            parts.append(f"with_options(on_bad_row={self.on_bad_row!r}, include_stop={self.include_stop})")
        return ".".join(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    # -- inside -----------------------------------------------------------------------------------------------

    def _told(self, prompt: Tensor | None, facts: dict[str, Any]) -> Told:
        lengths = [
            step for step in self.effective_stops if step.spec.name in ("max_new_tokens", "max_length")
        ]
        seed = self.effective_strategy.seed
        unknown = next((name for name in facts if name not in HF_FACTS), None)
        if unknown is not None:
            raise InvalidInput(
                f"there is no fact {unknown!r}", remedy=f"the prompt comes first, then: {', '.join(HF_FACTS)}"
            )
        return read_facts(prompt, compat=self.compatibility, lengths=lengths, own_seed=seed, **facts)

    @cached_property
    def _identity(self) -> tuple[object, ...]:
        return (
            self.effective_strategy,
            self.processors,
            self.effective_stops,
            self.compatibility,
            self.on_bad_row,
            self.include_stop,
        )

    @cached_property
    def plan(self) -> Plan:
        """What unbound calls run. Raises `NeedsBind` for steps that keep state or need facts."""
        return unbound_plan(self.processors, self.effective_strategy, self.host)
