"""A pipeline bound to one run in a caller's own loop: `bound(x, logits)`, `bound.pick(x, logits)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput, NeedsBind
from ...contracts.steps import Step, StrategyUse
from ...host.registry import Host
from ..io.arguments import as_device, as_eos, as_ids, as_whole
from ..io.prompts import check_ids
from ..io.tokenizer import as_tokenizer
from ..plan.plan import Plan
from ..rng import RowRng, check_seed, fresh_seed, prompt_keys, torch_rng
from ..steps.apply import BoundStep, View
from ..steps.bind import bind_steps, bind_strategy, strategy_min_keep
from ..steps.facts import Facts
from .unbound import as_batch, chosen, longer, look_at, whole_view


class BoundPipeline:
    """Fresh steps for one run over (B, T) rows of equal length; all their state lives here.

    At each call it observes the tokens by which `x` grew since the last one: the caller may have chosen others than
    `pick` did.
    """

    def __init__(
        self,
        processors: Sequence[Step],
        stops: Sequence[Step],
        use: StrategyUse,
        facts: Facts,
        prompt: Tensor,
        compat: Literal["hf"] | None,
        steps: Tensor,
        host: Host,
    ) -> None:
        rectangle = compat == "hf"
        least = strategy_min_keep(use, facts)
        self.plan = Plan(bind_steps(processors, facts, rectangle=rectangle, min_keep=least))
        self.plan.fuse(use.spec.draw, host, facts.device, facts.prompt_lengths)
        # Rules are built when first asked: a caller with conditions of his own need not give them their facts.
        self._stop_steps, self._facts, self._rectangle = stops, facts, rectangle
        self._stops: list[BoundStep] | None = None
        # What can be said of their ids is said now, all the same.
        known = [
            rule for rule in stops if facts.vocab_size and "vocab_size" in rule.spec.needs | rule.spec.wants
        ]
        bind_steps(known, facts, rectangle=rectangle)
        self._stops_seen = prompt.shape[1]
        self._strategy, self._strategy_name = bind_strategy(use, facts), use.spec.name
        self._chooses, self._rng = hasattr(self._strategy, "choose"), facts.rng
        self._rows, self._prompt_length = prompt.shape
        self._seen = self._prompt_length
        self._view: View | None = None
        self._steps = steps

    def __call__(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        """(B, T) int64, (B, V) -> (B, V) scores; (T,) with (V,) gives (V,)."""
        view, rows = self._advance(input_ids, logits)
        return self.plan(view, rows).reshape(logits.shape)

    def pick(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        """(B, T) int64, (B, V) -> (B,) int64. Raises `BadRow`."""
        if not self._chooses:
            raise NeedsBind(
                f"strategy {self._strategy_name!r} owns its loop and cannot pick one token",
                remedy="hand it the loop: Decoder(model, pipe).generate(...)",
            )
        view, rows = self._advance(input_ids, logits)
        tokens, scores = self.plan.pick(view, rows, self._rng)
        if tokens is not None:
            return tokens
        step = self._seen - self._prompt_length
        return chosen(self.plan, self._strategy, self._rng, view, rows, scores, step)

    def stopped(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, T) int64 with the newest token, (B, V) -> (B,) bool: which rows a stop rule ends. A rule's clock starts
        with the first call."""
        if self._stops is None:
            self._stops = bind_steps(self._stop_steps, self._facts, rectangle=self._rectangle)
        ids, rows = as_batch(input_ids, scores)
        self._check_growth(ids, self._stops_seen)
        for rule in self._stops:
            _observe(rule.observe, ids, self._stops_seen)
        self._stops_seen = ids.shape[1]
        view = whole_view(ids, self._prompt_length)
        answers = [rule(view, rows) for rule in self._stops]
        return (
            torch.stack(answers).any(0) if answers else torch.zeros(len(ids), dtype=torch.bool)
        )  # (S, B) -> (B,)

    def _check_growth(self, ids: Tensor, seen: int) -> int:
        """(B, T) int64 -> T."""
        rows, width = ids.shape
        if rows != self._rows or width < seen:
            raise InvalidInput(
                f"input_ids {tuple(ids.shape)}: this run was bound to {self._rows} rows and has seen "
                f"{seen} tokens of each",
                remedy="bind again for another batch",
            )
        return width

    def _advance(self, input_ids: Tensor, logits: Tensor) -> tuple[View, Tensor]:
        ids, rows = as_batch(input_ids, logits)
        width = self._check_growth(ids, self._seen)
        if self._view is None or width > self._seen:
            if width > self._seen:
                _observe(self.plan.observe, ids, self._seen)
                if self._chooses and hasattr(self._strategy, "observe"):
                    _observe(self._strategy.observe, ids, self._seen)
                self._steps += width - self._seen
            if self._view is None:
                if not self.plan.looked:
                    look_at(self.plan, ids, self._facts.vocab_size or logits.shape[-1])
                self._view = whole_view(ids, self._prompt_length)
            else:
                self._view = longer(self._view, ids, width - self._seen)
            self._seen = width
        else:
            self._view.input_ids = ids
        return self._view, rows


def _observe(observe: Callable[[Tensor, Tensor], None], ids: Tensor, seen: int) -> None:
    """Tell of every column of ids (B, T) from `seen` on."""
    everyone = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    for column in range(seen, ids.shape[1]):
        observe(ids.select(1, column), everyone)  # (B, T) -> (B,)


def bind_pipeline(
    processors: Sequence[Step],
    stops: Sequence[Step],
    use: StrategyUse,
    compat: Literal["hf"] | None,
    prompt: Tensor,
    *,
    vocab_size: int | None,
    eos_token_id: int | Sequence[int] | None,
    pad_token_id: int | None,
    tokenizer: Any,
    encoder_ids: Tensor | None,
    max_length: int | None,
    device: torch.device | str | None,
    seed: int | None,
    host: Host,
) -> BoundPipeline:
    """See `Pipeline.bind`."""
    ids = as_ids(prompt)
    place = ids.device if device is None else as_device(device)
    with torch.inference_mode(False):  # it is advanced in place, wherever the caller's loop runs
        steps = torch.zeros(len(ids), dtype=torch.int64, device=place)
    seed = use.seed if seed is None else check_seed(seed)
    if compat == "hf":
        rng: Any = torch_rng(len(ids), place, seed)
    else:
        keys = prompt_keys(fresh_seed() if seed is None else seed, ids.tolist())
        rng = RowRng(torch.tensor(keys, device=place), torch.zeros_like(steps), steps)
    eos, pad = as_eos(eos_token_id), as_whole("pad_token_id", pad_token_id, 0)
    vocab_size = as_whole("vocab_size", vocab_size, 1)
    check_ids(vocab_size, eos_token_id=eos, pad_token_id=as_eos(pad))
    facts = Facts(
        torch.full_like(steps, ids.shape[1]),
        place,
        rng,
        eos,
        pad,
        vocab_size,
        None if tokenizer is None else as_tokenizer(tokenizer),
        None if encoder_ids is None else as_ids(encoder_ids),
        prompt_index=torch.arange(len(ids), device=place),
        max_length=as_whole("max_length", max_length, 1),
    )
    return BoundPipeline(processors, stops, use, facts, ids, compat, steps, host)
