"""Opens runs: rows, facts, fresh steps, buffers and a feed, put together."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import DecodableModel, Observer, RunRng, Tokenizer
from ...contracts.steps import Step
from ..buffers.feed import Feed
from ..buffers.history import History
from ..buffers.rows import take_rows
from ..io.rows import TextRules
from ..pipeline import Pipeline
from ..plan.plan import Plan
from ..rng import RowRng, torch_rng
from ..run.run import Run
from ..run.state import UNLIMITED
from ..steps.apply import BoundStep
from ..steps.bind import bind_steps, bind_strategy, strategy_min_keep
from ..steps.facts import Facts
from ..steps.stopping import StopRules


@dataclass(frozen=True, slots=True)
class Setting:
    """What a decoder knows before it sees a prompt. `roles` are the further models that strategies may ask for;
    `graphs`: steps of per-token strategies are held in CUDA graphs, of kinds `captured` before."""

    model: DecodableModel
    tokenizer: Tokenizer | None
    eos: tuple[int, ...]
    pad: int | None
    roles: Mapping[str, DecodableModel] = field(default_factory=dict)
    graphs: bool = False
    captured: set[tuple[object, ...]] = field(default_factory=set)

    @property
    def filler(self) -> int:
        """The pad id; like transformers, eos where there is none. Without either 0 stands in: nothing looks at it."""
        return self.pad if self.pad is not None else self.eos[0] if self.eos else 0


@dataclass(frozen=True, slots=True)
class Lines:
    """What belongs to the rows of a run beside their ids.

    kinds            the prompt that each row comes from
    inputs           further inputs of the model, a line a row where they go with the rows
    encoder_lengths  how many of each row's encoder ids are its own, None without an encoder
    """

    kinds: Sequence[int]
    inputs: Mapping[str, Any]
    encoder_lengths: Sequence[int] | None

    def take(self, rows: Sequence[int]) -> Lines:
        """Those of these rows."""
        lengths = self.encoder_lengths
        return Lines(
            [self.kinds[row] for row in rows],
            take_rows(self.inputs, torch.tensor(list(rows)), len(self.kinds)),
            None if lengths is None else [lengths[row] for row in rows],
        )


class Opening:
    """Opens one run and those beside it, and closes the sessions of all.

    rows     the prompts, a line a row of the run
    keys     int64, the row keys of the default layout; `samples` how many results of a prompt are wanted
    kinds    int64, the prompt that each row comes from
    role_prompts  what the rows of further models' runs begin with, by role, a line a row
    inputs   further inputs of the model, a line a row where they go with the rows
    stops    the stop rules as data
    """

    def __init__(
        self,
        setting: Setting,
        pipeline: Pipeline,
        rows: Sequence[Sequence[int]],
        *,
        keys: Sequence[int],
        kinds: Sequence[int],
        sample_indices: Sequence[int],
        inputs: Mapping[str, Any],
        encoder_lengths: Sequence[int] | None,
        role_prompts: Mapping[str, Sequence[Sequence[int]]],
        samples: int,
        stops: Sequence[Step],
        seed: int | None,
        observers: Sequence[Observer],
    ) -> None:
        self._setting, self._pipeline = setting, pipeline
        self._rectangle = pipeline.compatibility == "hf"
        self._lines = Lines(kinds, inputs, encoder_lengths)
        self._feeds: list[Feed] = []
        model, use = setting.model.facts, pipeline.effective_strategy
        laid_out, mask = self._layout(rows)
        history = History(laid_out, setting.filler, model.device)
        rng = self._rng(history, keys, sample_indices, seed)
        facts = self._facts(setting.model, history, rng, mask, self._lines)
        self.strategy = bind_strategy(use, facts, frozenset(setting.roles))
        least = strategy_min_keep(use, facts)
        rules = bind_steps(stops, facts, rectangle=self._rectangle)
        endings = StopRules(rules, model.max_length)
        endings.check_prompts(history.host_lengths)
        # transformers' own length does not know the model's context.
        known = row_limits(rules, history, None if self._rectangle else model.max_length)
        facts = replace(facts, limits=known if int(known.max()) < UNLIMITED else None)
        plan = Plan(bind_steps(pipeline.processors, facts, rectangle=self._rectangle, min_keep=least))
        plan.fuse(use.spec.draw, pipeline.host, model.device, history.prompt_lengths)
        self.texts = _text_rules(setting.tokenizer, rules, pipeline.include_stop)
        limits = row_limits(rules, history, model.max_length)
        limit = int(limits.max())
        lockstep = hasattr(self.strategy, "choose")
        self.run = Run(
            self._feed(setting.model, history, None if limit >= UNLIMITED else limit, mask, self._lines),
            history,
            plan,
            endings,
            self.strategy,
            rng,
            limits=limits,
            samples=samples,
            lockstep=lockstep,
            rectangle=self._rectangle,
            on_bad_row=pipeline.on_bad_row,
            observers=observers,
            roles=frozenset(setting.roles),
            role_prompts=role_prompts,
            model=model,
            tokenizer=setting.tokenizer,
            opener=self._beside,
        )

    def close(self) -> None:
        """Give every session back."""
        for feed in self._feeds:
            feed.close()

    # -- inside -----------------------------------------------------------------------------------------------

    def _beside(self, run: Run, role: str, prompts: Sequence[Sequence[int]], processors: bool) -> Run:
        """See `Run.open`."""
        model = self._setting.model if role == "model" else self._setting.roles[role]
        if role == "model" and not model.facts.capabilities.shared:
            raise InvalidInput(
                "this strategy decodes two texts with the model at once, and the model has one cache",
                remedy="give it a copy, copy.deepcopy(model), as the model of the role that the strategy names",
            )
        lines = self._lines.take(run.lineage)
        if len(prompts) != len(run.reasons):
            raise InvalidInput(f"{len(prompts)} prompts for {len(run.reasons)} rows", remedy="give one a row")
        laid_out, mask = self._layout(prompts, model)
        history = History(laid_out, self._setting.filler, model.facts.device)
        history.steps.copy_(run.lengths - run.prompt_lengths)
        rng = run.rng.of_role(role, history.steps)
        limit = int(run.room.max()) + max(map(len, prompts))
        context = model.facts.max_length
        limits = torch.full_like(history.lengths, UNLIMITED if context is None else context)
        facts = self._facts(model, history, rng, mask, lines)
        least = strategy_min_keep(self._pipeline.effective_strategy, facts)
        steps = bind_steps(
            self._pipeline.processors if processors else (), facts, rectangle=self._rectangle, min_keep=least
        )
        length = limit if context is None else min(limit, context)
        return Run(
            self._feed(model, history, length if length < UNLIMITED // 2 else None, mask, lines),
            history,
            Plan(steps),
            StopRules((), context),
            None,
            rng,
            limits=limits,
            lockstep=False,
            on_bad_row=self._pipeline.on_bad_row,
            model=model.facts,
            tokenizer=self._setting.tokenizer,
        )

    def _feed(
        self, model: DecodableModel, history: History, limit: int | None, mask: Tensor | None, lines: Lines
    ) -> Feed:
        if limit is not None:
            history.reserve(limit)
        # transformers repeats the rows before the prompt is fed, behind the encoder; its rounding is that of the batch.
        alike = None if self._rectangle else torch.tensor(lines.kinds, device=history.tokens.device)
        copies = len(lines.kinds) // len(set(lines.kinds)) if self._rectangle else 1
        inputs = lines.inputs if model is self._setting.model or model.facts.encoder is not None else {}
        feed = Feed(
            model, history, limit=limit, attention_mask=mask, model_inputs=inputs, kinds=alike, copies=copies
        )
        self._feeds.append(feed)
        return feed

    def _facts(
        self, model: DecodableModel, history: History, rng: RunRng, mask: Tensor | None, lines: Lines
    ) -> Facts:
        return Facts(
            prompt_lengths=history.prompt_lengths,
            device=model.facts.device,
            rng=rng,
            eos=self._setting.eos,
            pad=self._setting.pad,
            vocab_size=model.facts.vocab_size,
            tokenizer=self._setting.tokenizer,
            max_length=model.facts.max_length,
            padding=None if mask is None else (mask == 0).sum(-1),  # (R, T) -> (R,)
            prompt_index=torch.tensor(lines.kinds, device=model.facts.device),
            encoder_ids=lines.inputs.get("encoder_ids"),
            encoder_lengths=self._own_encoder_lengths(lines, model.facts.device),
        )

    def _own_encoder_lengths(self, lines: Lines, device: torch.device) -> Tensor | None:
        """(R,) int64; None in transformers' own layout, where steps see the encoder's pads like its ids."""
        if self._rectangle or lines.encoder_lengths is None:
            return None
        return torch.tensor(lines.encoder_lengths, device=device)

    def _layout(
        self, rows: Sequence[Sequence[int]], model: DecodableModel | None = None
    ) -> tuple[list[Sequence[int]], Tensor | None]:
        """Rows as they are, or transformers' left-padded rectangle and its mask (R, T) int64."""
        width = max(map(len, rows))
        if not self._rectangle or all(len(row) == width for row in rows):
            return list(rows), None
        facts = (model or self._setting.model).facts
        if not (facts.capabilities.masks or facts.capabilities.pads):
            raise InvalidInput(
                "compat: hf pads prompts of unequal length, and this model takes no attention mask",
                remedy="give prompts of one length, or leave compat out",
            )
        if self._setting.filler in self._setting.eos:
            warnings.warn(
                f"prompts of unequal length are padded with {self._setting.filler}, which also ends a text: steps "
                "that read the text take it for an end; pad_token_id= names another id",
                stacklevel=6,
            )
        pads = [width - len(row) for row in rows]
        mask = [[0] * pad + [1] * len(row) for pad, row in zip(pads, rows, strict=True)]
        padded = [[self._setting.filler] * pad + list(row) for pad, row in zip(pads, rows, strict=True)]
        return list(padded), torch.tensor(mask, device=facts.device)

    def _rng(
        self, history: History, keys: Sequence[int], sample_indices: Sequence[int], seed: int | None
    ) -> RunRng:
        device = history.tokens.device
        if self._rectangle:
            return torch_rng(len(keys), device, seed)
        samples = torch.tensor(sample_indices, device=device)
        return RowRng(torch.tensor(keys, device=device), samples, history.steps)


def row_limits(rules: Sequence[BoundStep], history: History, context: int | None) -> Tensor:
    """(R,) int64: the greatest length that each row can reach, `UNLIMITED` where no rule says."""
    limits = torch.full_like(history.prompt_lengths, UNLIMITED)
    if context is not None:
        # A row is ended after a token, so even a prompt as long as the context grows by one.
        limits = (history.prompt_lengths + 1).clamp(min=context)
    for rule in rules:
        found = [_limit(instance, history.prompt_lengths) for instance in rule.instances]
        if len(found) == len(limits) > 1:  # an object a row
            found = [torch.stack([limit[row] for row, limit in enumerate(found)])]
        limits = torch.minimum(limits, found[0])
    return torch.maximum(limits, history.prompt_lengths + 1)


def _limit(rule: Any, prompt_lengths: Tensor) -> Tensor:
    limit = getattr(rule, "limit", None)
    return limit(prompt_lengths) if callable(limit) else torch.full_like(prompt_lengths, UNLIMITED)


def _text_rules(
    tokenizer: Tokenizer | None, stops: Sequence[BoundStep], include_stop: bool
) -> TextRules | None:
    if tokenizer is None:
        return None
    found = [getattr(instance, "strings", ()) for stop in stops for instance in stop.instances]
    strings = [text for texts in found if isinstance(texts, tuple) for text in texts if isinstance(text, str)]
    return TextRules(tokenizer, tuple(strings), include_stop)
