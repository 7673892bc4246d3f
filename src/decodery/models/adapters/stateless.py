"""Models without state: `model(x) -> logits`, the whole context in every step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...contracts.errors import ModelError
from ...contracts.protocols import Capabilities, ModelFacts, Options
from ..calling import Form, call_of, module_of, name_of, read_call
from ..facts import facts_of
from ..forward import Forward, check_context, refuse_mask, uniform_count
from ..keeping.module import EvalMode, left_as_found
from ..options import check_options, check_width, if_it_answers, told_width
from ..probing.rounding import tolerance
from ..probing.verify import newest_difference, random_ids

MASK, PLACES, STATE = "attention_mask", "position_ids", "use_cache"
PADDED, PADDING = 7, 3
"""Tokens of the rows on which padding is tried, and how many of one are padding."""
CAPABILITIES = Capabilities(select=True, rewind="uniform", rewind_by="crop")


def probe(model: object, options: Options) -> str | None:
    """Anything that can be called with ids; the last resort of detection."""
    if not callable(model) or inspect.isclass(model):
        return None
    return f"{name_of(model)}{read_call(model).shown} can be called with the whole context each step"


class StatelessModel:
    """Opens sessions that keep the ids themselves and call the model on all of them.

    Works for `nn.Module`s and plain functions. Positions are passed where the signature insists on them.
    Raises `ModelError` for something that cannot be called with ids alone.
    """

    def __init__(self, model: Callable[..., Any], options: Options, *, form: Form = "batch") -> None:
        check_options(options, "stateless")
        _check_callable(model)
        self.model = model
        self.call = replace(call_of(model, options), form=form)
        self.needs_position = next(
            (name for name in ("input_pos", "start_pos") if name in self.call.required), ""
        )
        self.masked = MASK in self.call.accepts
        self.placed = PLACES in self.call.accepts
        given = {self.needs_position, MASK, PLACES}
        missing = [name for name in self.call.required if name not in given]
        if missing:
            raise ModelError(
                f"{name_of(model)}{self.call.shown} also requires {', '.join(missing)}",
                remedy=f"fill in what it needs: Decoder(lambda ids: model(ids, {missing[0]}=...))",
            )
        self.evaluation = EvalMode(module_of(model))
        self._facts = facts_of(model, options, CAPABILITIES)
        self.width: int | None = None
        if (told := told_width(options, self.model)) is not None:
            check_width(told, if_it_answers(self._asked_vocab_size), name_of(model))
            self.width = told
        elif self._facts.vocab_size is None:
            self._facts = replace(self._facts, vocab_size=self._asked_vocab_size())

        self.evidence = self.hint = ""
        if self.masked:
            if self._padding_holds():
                self._facts = replace(self._facts, capabilities=replace(CAPABILITIES, masks=True))
            else:
                self.evidence = (
                    f"takes {MASK}, but a left-padded row is not answered like the row alone: prompts of unequal "
                    "length are fed in lockstep"
                )
                self.hint = (
                    f"a forward that heeds {MASK}, and {PLACES} beside it: such prompts are then padded"
                )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> StatelessSession:
        return StatelessSession(self, batch_size)

    def beside(self, length: int, mask: Tensor | None, rows: int) -> dict[str, Any]:
        """What the ids (B, `length`) are given beside them: positions that a signature insists on, that no state is
        asked for, and, where prompts are padded or the model insists, the mask (B, T) and each token's place (B, T)."""
        given = self.positions(length)
        if STATE in self.call.accepts:
            given[STATE] = False  # nobody asks for the state, and some that keep it answer otherwise
        if mask is None and MASK in self.call.required:
            mask = torch.ones(rows, length, dtype=torch.long, device=self._facts.device)
        if mask is not None:
            given[MASK] = mask
        if self.placed and (mask is not None or PLACES in self.call.required):
            ones = torch.ones(rows, length, dtype=torch.long, device=self._facts.device)
            given[PLACES] = ((ones if mask is None else mask).cumsum(-1) - 1).clamp(min=0)
        return given

    def positions(self, length: int) -> dict[str, Any]:
        """What a signature with required positions is given beside the ids."""
        if self.needs_position == "input_pos":
            return {"input_pos": torch.arange(length, device=self._facts.device)}
        return {"start_pos": 0} if self.needs_position else {}

    def _padding_holds(self) -> bool:
        """A left-padded row is answered like the row alone: the mask is looked at, and so are the places."""
        if (self._facts.max_length or PADDED) < PADDED:
            return False
        ids = random_ids(2, PADDED, self._facts.vocab_size).to(self._facts.device)
        mask = torch.ones_like(ids)
        mask[0, :PADDING] = 0
        try:
            with left_as_found(module_of(self.model)):
                alone = self._answer(ids[:1, PADDING:], None)
                padded = self._answer(ids, mask)[:1]
        except ModelError:
            return False
        return newest_difference(padded, alone) <= tolerance(alone, self._facts.dtype)

    def _answer(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T), (B, T) -> (B, 2, V): a prompt, and one token more."""
        session = self.open(len(ids), ids.shape[1])
        try:
            start = None if mask is None else mask[:, :-1]
            first = session.filled(ids[:, :-1], start)
            return torch.cat([first.unsqueeze(1), session.step(ids[:, -1:])], dim=1)
        finally:
            session.close()

    def _asked_vocab_size(self) -> int:
        """The width of the answer to the one id that every vocabulary has."""
        with left_as_found(module_of(self.model)):
            session = self.open(1, 1)
            try:
                return session.prefill(torch.zeros(1, 1, dtype=torch.long, device=self._facts.device)).shape[
                    -1
                ]
            finally:
                session.close()


class StatelessSession:
    """The ids of all rows, (B, T) int64, are the whole state."""

    def __init__(self, owner: StatelessModel, batch_size: int) -> None:
        self._owner = owner
        self._ids = torch.zeros(batch_size, 0, dtype=torch.long, device=owner.facts.device)
        self._inputs: dict[str, Any] = {}
        self._mask: Tensor | None = None
        self._forward = Forward(owner.model, owner.call, owner.evaluation, owner.facts.device, owner.width)

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64, (B, T) 0 on left padding -> (B, V)."""
        if not self._owner.facts.capabilities.masks:
            refuse_mask(attention_mask, self._owner.model)
        self._inputs = model_inputs
        return self.filled(input_ids, attention_mask)

    def filled(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T) int64, (B, T) -> (B, V), whether or not the mask was found to be looked at."""
        self._mask = None if mask is None else mask.to(device=self._ids.device, dtype=torch.long)
        return self._extended(ids, 1)[:, -1]

    def step_last(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, V) after the last of them, in one call whatever K is."""
        return self._extended(tokens, 1)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        count = tokens.shape[1]
        logits = self._extended(tokens, count)
        if logits.shape[1] == count:
            return logits
        # The model answers for the last position only: the earlier ones are asked for one at a time.
        whole = self._ids
        earlier = [self._logits(whole[:, : whole.shape[1] - back], 1) for back in range(count - 1, 0, -1)]
        return torch.cat([*earlier, logits[:, -1:]], dim=1)  # K x (B, 1, V) -> (B, K, V)

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows."""
        rows = rows.to(self._ids.device)
        self._ids = self._ids[rows]
        self._mask = None if self._mask is None else self._mask[rows]

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: take that many tokens back."""
        count = uniform_count(counts)
        self._ids = self._ids[:, : self._ids.shape[1] - count]
        self._mask = None if self._mask is None else self._mask[:, : self._ids.shape[1]]

    def fork(self) -> StatelessSession:
        """Another session that goes on from here."""
        twin = StatelessSession(self._owner, 0)
        twin._ids, twin._inputs, twin._mask = self._ids, self._inputs, self._mask
        return twin

    def close(self) -> None:
        self._forward.close()

    def _extended(self, ids: Tensor, columns: int) -> Tensor:
        longer = torch.cat([self._ids, ids.to(self._ids.device)], dim=1)  # (B, T) + (B, K) -> (B, T + K)
        check_context(longer.shape[1], self._owner.facts.max_length, self._owner.model)
        if self._mask is not None:
            self._mask = pad(
                self._mask, (0, longer.shape[1] - self._mask.shape[1]), value=1
            )  # (B, T) -> (B, T + K)
        logits = self._logits(longer, columns)
        self._ids = longer
        return logits

    def _logits(self, ids: Tensor, columns: int) -> Tensor:
        mask = None if self._mask is None else self._mask[:, : ids.shape[1]]
        beside = self._owner.beside(ids.shape[1], mask, len(ids))
        return self._forward.logits(ids, columns, {**beside, **self._inputs})


def _check_callable(model: object) -> None:
    if inspect.isclass(model):
        raise ModelError(
            f"{model.__name__} is a class, not a model", remedy=f"build one: Decoder({model.__name__}())"
        )
    if not callable(model):
        raise ModelError(
            f"a {type(model).__name__} cannot be called",
            remedy="hand over an nn.Module or a function of token ids (B, T) that returns logits (B, T, V)",
        )
    config = getattr(module_of(model), "config", None)
    if getattr(config, "is_encoder_decoder", False) is True:
        raise ModelError(
            f"{name_of(model)} is an encoder-decoder, which adapter 'stateless' does not drive",
            remedy="adapter='auto' finds out which does; or hand over the decoder as a function of its ids, the "
            "encoder's output filled in",
        )
