"""One call of `generate` or `stream`: prompts laid out as rows, and a run over them."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput, PluginError
from ..contracts.protocols import DecodableModel, Observer, RunRng, Tokenizer
from ..contracts.steps import Step, fill
from .apply import BoundStep
from .bind import bind_steps, bind_strategy, strategy_min_keep
from .buffers.feed import Feed
from .buffers.history import History
from .facts import Facts
from .io.generation import Generation
from .io.given import Given
from .io.recorders import LogprobRecorder, ScoreRecorder
from .io.rows import Event, Origin, RowEvents, TextRules, result_row
from .loop import decode_tokens
from .pipeline import Pipeline
from .plan import Plan
from .rng import RowRng, as_key, check_seed, fresh_seed, prompt_keys, torch_rng
from .run import Run


@dataclass(frozen=True, slots=True)
class Setting:
    """What a decoder knows before it sees a prompt."""

    model: DecodableModel
    tokenizer: Tokenizer | None
    eos: tuple[int, ...]
    pad: int | None

    @property
    def filler(self) -> int:
        """The pad id; like transformers, eos where there is none. Without either 0 stands in: nothing looks at it."""
        return self.pad if self.pad is not None else self.eos[0] if self.eos else 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """The arguments of `generate`."""

    n: int = 1
    seed: int | None = None
    seeds: Sequence[int] | None = None
    max_new_tokens: int | None = None
    logprobs: int | None = None
    return_scores: bool = False
    observers: Sequence[Observer] = ()


def check_wishes(
    n: int,
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


class Call:
    """The rows are prompt-major: sample s of prompt p is row p * n + s.

    Raises `InvalidInput` for wishes that cannot be met.
    """

    def __init__(self, setting: Setting, pipeline: Pipeline, given: Given, wishes: Wishes) -> None:
        self._setting, self._pipeline, self._given = setting, pipeline, given
        prompts = given.prompts
        self._use = pipeline.effective_strategy
        self._rectangle = pipeline.compatibility == "hf"
        self._seed = choose_seed(pipeline, wishes, len(prompts))
        self._origins = [
            Origin(p, s, tuple(prompt), wishes.seeds[p] if wishes.seeds is not None else self._seed)
            for p, prompt in enumerate(prompts)
            for s in range(wishes.n)
        ]
        count = len(self._origins)
        self._logprobs = None if wishes.logprobs is None else LogprobRecorder(count, wishes.logprobs)
        self._scores = ScoreRecorder(count) if wishes.return_scores else None
        own = [recorder for recorder in (self._logprobs, self._scores) if recorder is not None]
        # What is written at every step must not be born in inference mode, or it could never be written outside it.
        with torch.inference_mode(False):
            self._open(_row_keys(given.keys, wishes, self._seed), wishes, [*wishes.observers, *own])

    def steps(self) -> Iterator[None]:
        """Decode to the end; one item a step. The session is closed whatever happens."""
        with closing(self._feed):
            if not hasattr(self._strategy, "decode"):
                yield from decode_tokens(self._run)
                return
            self._strategy.decode(self._run)
            if len(self._run.reasons) != len(self._origins):
                left = f"{len(self._run.reasons)} rows of {len(self._origins)}"
                raise PluginError(
                    f"strategy {self._use.spec.name!r} left {left}",
                    remedy="select one row for each that it was given",
                )

    def events(self) -> Generator[Event, None, None]:
        """Decode to the end; one event a token, in the order of steps and rows."""
        texts = [self._rules.begin(o.prompt) if self._rules else None for o in self._origins]
        rows = [RowEvents(self._run, r, text, self._logprobs) for r, text in enumerate(texts)]
        for _ in self.steps():
            for row in rows:
                yield from row.new()
        for row in rows:
            yield from row.new()

    def result(self) -> Generation:
        """The rows, in order; what is not finished yet says "interrupted"."""
        rows = [
            result_row(self._run, row, origin, self._rules, self._logprobs, self._scores)
            for row, origin in enumerate(self._origins)
        ]
        return Generation(rows, self._setting.filler, self._seed, self._setting.model.facts.device)

    # -- laying out -------------------------------------------------------------------------------------------

    def _open(self, keys: Sequence[int], wishes: Wishes, observers: Sequence[Observer]) -> None:
        setting, pipeline, model = self._setting, self._pipeline, self._setting.model.facts
        rows, mask = self._layout()
        history = History(rows, setting.filler, model.device)
        rng = self._rng(history, keys, wishes.n)
        inputs = self._given.model_inputs(wishes.n, model.device)
        facts = Facts(
            prompt_lengths=history.prompt_lengths,
            device=model.device,
            rng=rng,
            eos=setting.eos,
            pad=setting.pad,
            vocab_size=model.vocab_size,
            tokenizer=setting.tokenizer,
            max_length=model.max_length,
            padding=None if mask is None else (mask == 0).sum(-1),  # (R, T) -> (R,)
            prompt_index=torch.tensor([origin.prompt_index for origin in self._origins], device=model.device),
            encoder_ids=inputs.get("encoder_ids"),
            encoder_lengths=self._encoder_lengths(wishes.n),
        )
        self._strategy = bind_strategy(self._use, facts)
        least = strategy_min_keep(self._use, facts)
        stops = bind_steps(stop_rules(pipeline, wishes.max_new_tokens), facts, rectangle=self._rectangle)
        # transformers' own length does not know the model's context.
        facts = replace(facts, limits=_limits(stops, history, None if self._rectangle else model.max_length))
        plan = Plan(bind_steps(pipeline.processors, facts, rectangle=self._rectangle, min_keep=least))
        self._rules = _text_rules(setting.tokenizer, stops, pipeline.include_stop)
        self._check_layout()
        limit = _limit(stops, history, model.max_length)
        history.reserve(limit)
        self._feed = Feed(setting.model, history, limit=limit, attention_mask=mask, model_inputs=inputs)
        self._run = Run(
            self._feed,
            history,
            plan,
            stops,
            self._strategy,
            rng,
            context=model.max_length,
            rectangle=self._rectangle,
            on_bad_row=pipeline.on_bad_row,
            observers=observers,
        )

    def _layout(self) -> tuple[list[Sequence[int]], Tensor | None]:
        """Rows as they are, or transformers' left-padded rectangle and its mask (R, T) int64."""
        rows: list[Sequence[int]] = [origin.prompt for origin in self._origins]
        width = max(map(len, rows))
        if not self._rectangle or all(len(row) == width for row in rows):
            return rows, None
        facts = self._setting.model.facts
        if not facts.capabilities.masks:
            raise InvalidInput(
                "compat: hf pads prompts of unequal length, and this model takes no attention mask",
                remedy="give prompts of one length, or leave compat out",
            )
        if self._setting.filler in self._setting.eos:
            warnings.warn(
                f"prompts of unequal length are padded with {self._setting.filler}, which also ends a text: steps "
                "that read the text take it for an end; pad_token_id= names another id",
                stacklevel=4,
            )
        pads = [width - len(row) for row in rows]
        mask = [[0] * pad + [1] * len(row) for pad, row in zip(pads, rows, strict=True)]
        padded = [[self._setting.filler] * pad + list(row) for pad, row in zip(pads, rows, strict=True)]
        return list(padded), torch.tensor(mask, device=facts.device)

    def _encoder_lengths(self, n: int) -> Tensor | None:
        """(R,) int64; None in transformers' own layout, where steps see the encoder's pads like its ids."""
        if self._rectangle or self._given.encoder is None:
            return None
        return torch.tensor(self._given.encoder.lengths(n), device=self._setting.model.facts.device)

    def _check_layout(self) -> None:
        if hasattr(self._strategy, "choose") or self._setting.model.facts.capabilities.masks:
            return
        if len({len(origin.prompt) for origin in self._origins}) > 1:
            raise InvalidInput(
                f"strategy {self._use.spec.name!r} needs prompts of one length on a model without masks",
                remedy="call it once for each length",
            )

    def _rng(self, history: History, keys: Sequence[int], n: int) -> RunRng:
        device = history.tokens.device
        if self._rectangle:
            return torch_rng(len(keys), device, self._seed)
        samples = torch.arange(len(keys), device=device) % n
        return RowRng(torch.tensor(keys, device=device), samples, history.steps)


def stop_rules(pipeline: Pipeline, max_new_tokens: int | None) -> tuple[Step, ...]:
    """The stop rules, `max_new_tokens` taking the place of the recipe's own."""
    rules = pipeline.effective_stops
    if max_new_tokens is None:
        return rules
    qualified, spec = pipeline.host.step("max_new_tokens")
    rule = Step(spec, fill(spec, {"max_new_tokens": max_new_tokens}), qualified)
    return (*(r for r in rules if r.spec.name != "max_new_tokens"), rule)


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


def _row_keys(prompts: Sequence[Sequence[int]], wishes: Wishes, seed: int | None) -> list[int]:
    keys = prompt_keys(seed or 0, prompts) if wishes.seeds is None else [as_key(s) for s in wishes.seeds]
    return [key for key in keys for _ in range(wishes.n)]


def _text_rules(
    tokenizer: Tokenizer | None, stops: Sequence[BoundStep], include_stop: bool
) -> TextRules | None:
    if tokenizer is None:
        return None
    found = [getattr(instance, "strings", ()) for stop in stops for instance in stop.instances]
    strings = [text for texts in found if isinstance(texts, tuple) for text in texts if isinstance(text, str)]
    return TextRules(tokenizer, tuple(strings), include_stop)


def _limiting(stops: Sequence[BoundStep]) -> list[Any]:
    return [i for stop in stops for i in stop.instances if callable(getattr(i, "limit", None))]


def _limits(stops: Sequence[BoundStep], history: History, context: int | None) -> Tensor | None:
    """(R,) int64, the length at which each row ends at the latest; None when nothing says."""
    limits = [rule.limit(history.prompt_lengths) for rule in _limiting(stops)]
    if context is not None:
        limits.append(torch.full_like(history.prompt_lengths, context))
    return torch.stack(limits).amin(0) if limits else None  # L x (R,) -> (R,)


def _limit(stops: Sequence[BoundStep], history: History, context: int | None) -> int | None:
    """The greatest length that any row can reach, None when no rule says."""
    limits = [int(rule.limit(history.prompt_lengths).max()) for rule in _limiting(stops)]
    longest = max(history.host_lengths)
    if context is not None:
        limits.append(max(context, longest) + 1)
    return max(min(limits), longest + 1) if limits else None
