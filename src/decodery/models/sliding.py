"""Texts longer than a model's context: the oldest tokens are dropped, and the rest is fed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput
from ..contracts.protocols import Capabilities, DecodableModel, ModelFacts, Session
from .forward import one_by_one, uniform_count

Overflow = Literal["stop", "slide"] | Mapping[str, int]
"""What happens to a row that fills the context: it ends, or it goes on with its newest tokens alone."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a model with room for `context` tokens sees of a longer text.

    A text that outgrows the window is cut to its newest `keep` tokens; then the window fills up again. With
    `keep` as large as the context that is `ids[:, -context:]` at every step. Where a window begins depends on
    the length of the text alone, not on how it came about.
    """

    context: int
    keep: int

    def start(self, length: int) -> int:
        """The first token seen of a text of `length` tokens."""
        if length <= self.context:
            return 0
        stride = self.context - self.keep + 1
        return stride * (1 + (length - self.context - 1) // stride)


def slide_where_asked(model: DecodableModel, overflow: Overflow) -> DecodableModel:
    """`model` as it is for "stop"; for "slide", or {"slide": tokens to keep}, one whose context never ends.

    Raises `InvalidInput` for anything else. A model without a context has nothing to slide.
    """
    context = model.facts.max_length
    keep: Any = None
    if isinstance(overflow, Mapping) and set(overflow) == {"slide"}:
        keep = overflow["slide"]
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1 or keep > (context or keep):
            raise InvalidInput(
                f"overflow = {dict(overflow)!r}",
                remedy=f"keep a whole number of tokens from 1 to {context or 'the context'}",
            )
    elif overflow not in ("stop", "slide"):
        raise InvalidInput(
            f"overflow = {overflow!r}",
            remedy="'stop' ends a row that fills the context, 'slide' goes on with its newest tokens; "
            "{'slide': 256} keeps 256 of them",
        )
    if overflow == "stop" or context is None:
        return model
    return SlidingModel(model, Window(context, keep or context))


class SlidingModel:
    """A model without an end to its context. Its sessions can be reordered and rewound, if need be by feeding
    the window again."""

    def __init__(self, model: DecodableModel, window: Window) -> None:
        self.model, self.window = model, window
        facts = model.facts
        can = facts.capabilities
        capabilities = Capabilities(masks=can.masks, select=True, rewind="uniform", shared=can.shared)
        # Fed again, a window brings the encoder's rows as they came, one for each of the decoder's.
        encoder = None if facts.encoder is None else replace(facts.encoder, repeats=False)
        self._facts = replace(facts, max_length=None, capabilities=capabilities, encoder=encoder)

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> SlidingSession:
        return SlidingSession(self)


class SlidingSession:
    """All ids so far, (B, T) int64, how many columns of padding begin each row, and an inner session that has
    been fed each row's window."""

    def __init__(self, owner: SlidingModel) -> None:
        self._owner = owner
        self._inner: Session | None = None
        self._ids = torch.zeros(0, 0, dtype=torch.long, device=owner.facts.device)
        self._padding: list[int] = []
        self._inputs: dict[str, Any] = {}
        self._starts: list[int] = []

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64, (B, T) 0 on left padding -> (B, V)."""
        self._ids, self._inputs = input_ids.to(self._ids.device), model_inputs
        hidden = (
            torch.zeros(len(input_ids), dtype=torch.long)
            if attention_mask is None
            else (attention_mask == 0).sum(-1)
        )
        self._padding = hidden.tolist()
        return self._fed_again(self._ids)

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        longer = torch.cat([self._ids, tokens.to(self._ids.device)], dim=1)  # (B, T) + (B, K) -> (B, T + K)
        if self._inner is not None and self._where(longer) == self._starts:
            logits = self._inner.step(tokens)
        elif tokens.shape[1] > 1:
            # In the middle of the tokens the window moves, for some of the rows.
            return torch.cat([self.step(token) for token in one_by_one(tokens)], dim=1)  # -> (B, K, V)
        else:
            logits = self._fed_again(longer).unsqueeze(1)  # (B, V) -> (B, 1, V)
        self._ids = longer
        return logits

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows."""
        count, host_rows = len(self._padding), rows.tolist()
        self._ids = self._ids[rows.to(self._ids.device)]
        self._padding = [self._padding[row] for row in host_rows]
        self._starts = [self._starts[row] for row in host_rows]
        self._inputs = {
            name: value[rows.to(value.device)]
            if isinstance(value, Tensor) and value.ndim > 0 and len(value) == count
            else value
            for name, value in self._inputs.items()
        }
        if self._inner is not None and self._owner.model.facts.capabilities.select:
            self._inner.select(rows)
        else:
            self.close()

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: take that many tokens back, out of an earlier window if need be."""
        count = uniform_count(counts)
        self._ids = self._ids[:, : self._ids.shape[1] - count]
        able = self._owner.model.facts.capabilities.rewind != "none"
        if self._inner is not None and able and self._where(self._ids) == self._starts:
            self._inner.rewind(counts)
        elif count:
            self.close()

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
        self._inner = None

    def _where(self, ids: Tensor) -> list[int]:
        """The first token that each row's window shows, counted without padding."""
        return [self._owner.window.start(ids.shape[1] - padding) for padding in self._padding]

    def _fed_again(self, ids: Tensor) -> Tensor:
        """(B, T) int64, all of it -> (B, V) after the windows, by a session that was given nothing else."""
        self.close()
        model, window = self._owner.model, self._owner.window
        self._starts = self._where(ids)
        first = [padding + start for padding, start in zip(self._padding, self._starts, strict=True)]
        begin = min(first)
        shown = ids[:, begin:]
        mask: dict[str, Tensor] = {}
        if max(first) > begin:
            columns = torch.arange(begin, ids.shape[1], device=ids.device)
            mask["attention_mask"] = (columns >= torch.tensor(first, device=ids.device).unsqueeze(1)).long()
        self._inner = model.open(len(ids), window.context + max(first) - begin)
        return self._inner.prefill(shown, **mask, **self._inputs)
