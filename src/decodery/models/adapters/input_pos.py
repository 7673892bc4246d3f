"""Models with positions and an internal KV cache: `model(x, input_pos=...)`, or `start_pos=` as a number."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import Capabilities, ModelFacts, Options
from ..caches import CacheControl, Size
from ..calling import module_of, name_of, read_call
from ..facts import facts_of
from ..forward import Forward, check_context, one_by_one, refuse_mask, uniform_count
from ..keeping.journal import Journal
from ..keeping.module import EvalMode, left_as_found
from ..keeping.turns import turns_on
from ..options import check_options, check_width, if_it_answers, told_width
from ..probing.verify import Verdict, verify_cache

POSITIONS = ("input_pos", "start_pos")
WATCHED = 3
"""Calls after a set-up whose every change to the module is noted."""
UNKNOWN_LENGTH = 1024
"""Positions that a cache gets at first when nobody says how long the text will be."""


def probe(model: object, options: Options) -> str | None:
    """A callable whose signature has `input_pos` or `start_pos`."""
    if not callable(model) or inspect.isclass(model):
        return None
    call = read_call(model)
    name = _position_of(call.accepts)
    return (
        f"{name_of(model)}{call.shown} takes {name}; {CacheControl(module_of(model)).evidence()}"
        if name
        else None
    )


class InputPosModel:
    """Opens sessions on a model that keeps keys and values itself; one session at a time.

    The cache is verified once, here: cached steps against the whole context, on random tokens. Options:
    `setup` (further arguments of the set-up method), `verify` (False to trust the cache: one token a call,
    then, and no rewind). Raises `ModelError` when cache and context disagree, or when a call fails.
    """

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        check_options(options, "input_pos", ("setup", "verify"))
        self.model = model
        self.call = read_call(model)
        self.position = _position_of(self.call.accepts)
        missing = [name for name in self.call.required if name != self.position]
        if not self.position or missing:
            raise ModelError(
                f"{name_of(model)}{self.call.shown} does not take ids and {' or '.join(POSITIONS)} alone",
                remedy="hand over a function f(ids, input_pos) that fills it in, or say adapter='stateless'",
            )
        self.module = module_of(model)
        self.cache = CacheControl(self.module, options.get("setup"))
        self.evaluation = EvalMode(self.module)
        # The module's, since several decoders may share it, and its one cache.
        self.turns = turns_on(self.module)
        self.chunks = False
        self._facts = facts_of(model, options, Capabilities())
        with left_as_found(self.module):
            self.width: int | None = None
            if (told := told_width(options)) is not None:
                check_width(told, if_it_answers(self._asked_vocab_size), name_of(model))
                self.width = told
            elif self._facts.vocab_size is None:
                self._facts = replace(self._facts, vocab_size=self._asked_vocab_size())
            if options.get("verify", True):
                self._adopt(self._verified())

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> InputPosSession:
        """There is one cache: this thread's earlier session ends here, another thread's is waited for.

        Raises `ModelError` when that one makes no calls for long.
        """
        return InputPosSession(self, batch_size, length)

    def positions(self, start: int, count: int) -> dict[str, Any]:
        """The positions of the next `count` tokens: a LongTensor (K,), or the first one as a number."""
        if self.position == "start_pos":
            return {"start_pos": start}
        return {"input_pos": torch.arange(start, start + count, device=self._facts.device)}

    def _verified(self) -> Verdict:
        facts = self._facts
        verdict = verify_cache(self.open, facts.vocab_size, facts.max_length, self._plain())
        if not verdict.holds:
            raise ModelError(
                f"{name_of(self.model)} takes {self.position}, but steps with its cache are not those of the "
                f"whole context: log-probabilities differ by {verdict.difference:.3g} (rounding explains "
                f"{verdict.allowed:.3g})",
                remedy="adapter='stateless' feeds the whole context each step and needs no cache",
            )
        return verdict

    def _adopt(self, verdict: Verdict) -> None:
        self.chunks = verdict.chunks
        capabilities = Capabilities(rewind="uniform" if verdict.rewind else "none")
        self._facts = replace(self._facts, capabilities=capabilities)

    def _plain(self) -> Callable[[Tensor], Tensor] | None:
        """The model without positions and cache, if its signature and a trial allow that."""
        if self.position in self.call.required:
            return None

        def call(ids: Tensor) -> Tensor:
            forward = Forward(self.model, self.call, self.evaluation, self._facts.device, self.width)
            try:
                return forward.logits(ids, ids.shape[1], {})
            finally:
                forward.close()

        try:
            call(torch.zeros(1, 1, dtype=torch.long))
        except ModelError:
            return None
        return call

    def _asked_vocab_size(self) -> int:
        session = self.open(1, 1)
        try:
            return session.advance(torch.zeros(1, 1, dtype=torch.long), 1).shape[-1]
        finally:
            session.close()


class InputPosSession:
    """Counts positions; keys and values are in the model. Ids are kept to fill a cache that had to grow."""

    def __init__(self, owner: InputPosModel, batch_size: int, length: int | None) -> None:
        self._owner = owner
        self._ids = torch.zeros(batch_size, 0, dtype=torch.long, device=owner.facts.device)
        self._inputs: dict[str, Any] = {}
        self._capacity = self._calls = 0
        self._closed = True
        self._turn = owner.turns.take(self.close, name_of(owner.model))
        self._closed = False
        self._journal = Journal(owner.module)
        self._forward = Forward(owner.model, owner.call, owner.evaluation, owner.facts.device, owner.width)
        try:
            with owner.turns.using(self._turn):
                self._prepare(length or UNKNOWN_LENGTH)
        except BaseException:
            self.close()
            raise

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64 -> (B, V)."""
        refuse_mask(attention_mask, self._owner.model)
        self._inputs = model_inputs
        return self.advance(input_ids, 1)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        if tokens.shape[1] == 1 or self._owner.chunks:
            return self.advance(tokens, tokens.shape[1])
        return torch.cat([self.advance(token, 1) for token in one_by_one(tokens)], dim=1)  # -> (B, K, V)

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: what lies beyond the counter is overwritten by the next step."""
        if self._owner.facts.capabilities.rewind == "none":
            raise ModelError(
                f"the cache of {name_of(self._owner.model)} cannot take tokens back",
                remedy="adapter='stateless' can, at the price of feeding the whole context each step",
            )
        self.take_back(uniform_count(counts))

    def close(self) -> None:
        """Clears the cache and puts the module back as it was when the session was opened."""
        with self._owner.turns.still():
            if self._closed:
                return
            self._closed = True
            try:
                with self._forward.mode(), self._journal.recording():
                    self._owner.cache.reset()
                self._journal.undo()
            finally:
                self._forward.close()
                self._owner.turns.leave(self._turn)

    def __del__(self) -> None:
        # Whoever lets go of a session without closing it gets the module back all the same.
        self.close()

    def advance(self, ids: Tensor, columns: int) -> Tensor:
        """(B, T) int64, the next columns, in one call -> the newest `columns` positions, (B, K, V)."""
        with self._owner.turns.using(self._turn):
            return self._advance(ids, columns)

    def _advance(self, ids: Tensor, columns: int) -> Tensor:
        start, count = self._ids.shape[1], ids.shape[1]
        check_context(start + count, self._owner.facts.max_length, self._owner.model)
        longer = torch.cat([self._ids, ids.to(self._ids.device)], dim=1)  # (B, T) + (B, K) -> (B, T + K)
        if start + count > self._capacity and not self._closed:
            self._prepare(max(start + count, 2 * self._capacity))
            if start:
                self._logits(self._ids, 0, 1)
        logits = self._logits(longer[:, start:], start, columns)
        self._ids = longer
        return logits

    def take_back(self, count: int) -> None:
        self._ids = self._ids[:, : self._ids.shape[1] - count]

    def _logits(self, ids: Tensor, start: int, columns: int) -> Tensor:
        # What a prompt came with (features, say) belongs to the call that feeds the prompt.
        extra = self._inputs if start == 0 else {}
        # What a call changes is seen in the first ones; later ones are only watched for that.
        self._calls += 1
        journal = self._journal
        with journal.recording() if self._calls <= WATCHED else journal.following():
            return self._forward.logits(ids, columns, {**self._owner.positions(start, ids.shape[1]), **extra})

    def _prepare(self, length: int) -> None:
        facts = self._owner.facts
        length = min(length, facts.max_length or length)
        self._calls = 0
        with self._forward.mode(), self._journal.recording():
            self._owner.cache.prepare(Size(self._ids.shape[0], length, facts.device, facts.dtype))
        self._owner.evaluation.renew()
        self._capacity = length if self._owner.cache.sized else 2**62


def _position_of(accepted: frozenset[str]) -> str:
    return next((name for name in POSITIONS if name in accepted), "")
