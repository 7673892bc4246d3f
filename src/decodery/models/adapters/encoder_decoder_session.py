"""One batch on an encoder-decoder of one's own: each prompt encoded once, the decoder called with its whole text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ..calling import name_of
from ..forward import Forward, check_context, refuse_mask, uniform_count

if TYPE_CHECKING:
    from .encoder_decoder import EncoderDecoder


class EncoderDecoderSession:
    """Ids of all rows, (B, T) int64, what their encoder reads, and what it made of it, a group a prompt length."""

    def __init__(self, owner: EncoderDecoder) -> None:
        self._owner = owner
        device = owner.facts.device
        self._ids = torch.zeros(0, 0, dtype=torch.long, device=device)
        self._read: list[Tensor] = []
        self._features: dict[str, Any] = {}
        self._groups: list[tuple[Tensor, Any]] | None = None
        self._forward = Forward(owner.decoded, owner.call, owner.evaluation, device, owner.width)

    def prefill(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        encoder_ids: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        **model_inputs: Any,
    ) -> Tensor:
        """(B, T) int64 for the decoder, (B, S) int64 and its mask or features for the encoder -> (B, V)."""
        refuse_mask(attention_mask, self._owner.model)
        if encoder_ids is None and not model_inputs:
            raise InvalidInput(
                f"{name_of(self._owner.model)} was given nothing to encode",
                remedy="give prompts or model_inputs=",
            )
        self._features = model_inputs
        if encoder_ids is not None:
            seen = torch.ones_like(encoder_ids) if encoder_mask is None else encoder_mask
            self._read = [ids[kept.bool()] for ids, kept in zip(encoder_ids, seen, strict=True)]
        return self._extended(input_ids, 1)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        return self._extended(tokens, tokens.shape[1])

    def step_last(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, V) after the last of them."""
        return self._extended(tokens, 1)[:, -1]

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows. What was encoded is kept where each row reads what it read."""
        count, host_rows = len(self._ids), rows.tolist()
        self._ids = self._ids[rows.to(self._ids.device)]
        read = [self._read[row] for row in host_rows] if self._read else []
        same = bool(self._read) and len(read) == count and all(map(torch.equal, read, self._read))
        if not same or self._features:
            self._groups = None
        self._read = read
        self._features = {name: _selected(value, rows, count) for name, value in self._features.items()}

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: take that many of the decoder's tokens back."""
        self._ids = self._ids[:, : self._ids.shape[1] - uniform_count(counts)]

    def close(self) -> None:
        self._groups = None
        self._forward.close()

    def _extended(self, tokens: Tensor, columns: int) -> Tensor:
        device = self._owner.facts.device
        old = self._ids if len(self._ids) else self._ids.new_zeros(len(tokens), 0)
        longer = torch.cat([old, tokens.to(device)], dim=1)  # (B, T) + (B, K) -> (B, T + K)
        check_context(longer.shape[1], self._owner.facts.max_length, self._owner.model)
        if self._groups is None:
            self._groups = self._encoded(len(longer))
        answers = [
            (rows, self._forward.logits(longer[rows], columns, {"memory": memory}))
            for rows, memory in self._groups
        ]
        self._ids = longer
        if len(answers) == 1:
            return answers[0][1]
        whole = answers[0][1].new_empty(len(longer), *answers[0][1].shape[1:])
        for rows, logits in answers:
            whole[rows] = logits
        return whole

    def encode(self, main: Tensor, rest: Mapping[str, Any] | None = None) -> Any:
        """In the session's grad mode; see `EncoderDecoder.encoded`."""
        with self._forward.mode():
            return self._owner.encoded(main, rest or {})

    def _encoded(self, count: int) -> list[tuple[Tensor, Any]]:
        """(rows, memory) for the rows of each prompt length; all rows where only features are read."""
        device = self._owner.facts.device
        if not self._read:
            (_, main), *rest = _placed(self._features, None, count, device).items()
            return [(torch.arange(count, device=device), self.encode(main, dict(rest)))]
        lengths: defaultdict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(self._read):
            lengths[len(ids)].append(row)
        groups = []
        for rows in lengths.values():
            members = torch.tensor(rows, device=device)
            ids = torch.stack([self._read[row] for row in rows])
            groups.append((members, self.encode(ids, _placed(self._features, members, count, device))))
        return groups


def _placed(
    inputs: Mapping[str, Any], rows: Tensor | None, count: int, device: torch.device
) -> dict[str, Any]:
    """Tensors on the model's device; of those with a row for each of `count`, `rows` (R',) int64 alone."""
    placed = {name: v.to(device) if isinstance(v, Tensor) else v for name, v in inputs.items()}
    return placed if rows is None else {name: _selected(v, rows, count) for name, v in placed.items()}


def _selected(value: Any, rows: Tensor, count: int) -> Any:
    along = isinstance(value, Tensor) and value.ndim > 0 and len(value) == count
    return value[rows.to(value.device)] if along else value
