"""The Gumbel watermark: a draw whose random numbers anyone with the key can make again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from decodery.contracts.errors import InvalidInput
from decodery.contracts.protocols import Rng
from decodery.contracts.watermarks import Evidence, nothing

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def context_hash(key: int, context: Sequence[int]) -> int:
    """A 64-bit hash of the key and the tokens before, by splitmix64 (Steele et al. 2014) of each in turn."""
    state = _mix((key + _GOLDEN) & _MASK)
    for token in context:
        state = _mix((state ^ (token & _MASK)) + _GOLDEN & _MASK)
    return state


def token_uniforms(hashes: Tensor, tokens: Tensor) -> Tensor:
    """A number in (0, 1) for each context and token: (R, 1) int64, (V,) or (R, V) int64 -> (R, V) float64."""
    bits = hashes + (tokens + 1) * _signed(_GOLDEN)  # int64 wraps, yet its bits are right
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ _right(bits, shift)) * _signed(factor)
    bits = bits ^ _right(bits, 31)
    return (_right(bits, 11).double() + 0.5) * 2.0**-53


def watermarked(scores: Tensor, hashes: Tensor) -> Tensor:
    """`argmax log p + Gumbel(hash)`, which is a draw from p: (R, V) float, (R,) int64 -> (R,) int64.

    Aaronson (2022), https://scottaaronson.blog/?p=6823: the same as the greatest `u**(1/p)`.
    """
    u = token_uniforms(hashes.unsqueeze(-1), torch.arange(scores.shape[-1], device=scores.device))
    return (scores.double().log_softmax(dim=-1) - (-u.log()).log()).argmax(dim=-1)


def detect_gumbel_watermark(
    rows: Sequence[Sequence[int]] | Tensor,
    *,
    key: int,
    context: int = 4,
    vocab_size: int | None = None,
    prompts: object = None,
    device: object = "cpu",
) -> list[Evidence]:
    """How well the texts follow the key, by the parameters of the strategy `gumbel_watermark` that may have written
    them. An excerpt will do. `vocab_size`, `prompts` and `device` are not looked at: the mark is in generated tokens
    only, and its numbers are the same everywhere.

    Over every first pair of a context and a token, `-ln(1 - u)` sums to a Gamma(n, 1) without the watermark and to more
    with it (Aaronson 2022). Contexts that are not complete, or came before, are passed over, as they are in writing.
    Raises `InvalidInput` for a context of less than one token.
    """
    if context < 1:
        raise InvalidInput(
            f"context = {context}", remedy="give the number of tokens that the text was written with"
        )
    listed = rows.tolist() if isinstance(rows, Tensor) else rows
    return [_evidence(row, key, context) for row in listed]


def _evidence(tokens: Sequence[int], key: int, context: int) -> Evidence:
    seen: set[tuple[int, ...]] = set()
    hashes, judged = [], []
    for place in range(context, len(tokens)):
        before = tuple(tokens[place - context : place])
        if before not in seen:
            seen.add(before)
            hashes.append(_signed(context_hash(key, before)))
            judged.append(tokens[place])
    if not judged:
        return nothing(1.0)
    u = token_uniforms(torch.tensor(hashes).unsqueeze(-1), torch.tensor(judged).unsqueeze(-1))
    total, count = (-torch.log1p(-u)).sum(), float(len(judged))
    p = float(torch.special.gammaincc(torch.tensor(count, dtype=torch.float64), total))
    score = float(total) / count
    told = f"-ln(1 - u) of {len(judged)} tokens: mean {score:.3f}, 1.000 expected"
    return Evidence(len(judged), score, 1.0, (score - 1) * math.sqrt(count), p, told)


@dataclass
class _Text:
    tokens: list[int] = field(default_factory=list)
    seen: Counter[tuple[int, ...]] = field(default_factory=Counter)


class GumbelWatermark:
    """A strategy. Where the last `context` generated tokens are complete and new to the row, the token follows from
    them and the key; elsewhere it is drawn with the run's own numbers, so that samples differ and loops end."""

    def __init__(self, *, key: int, context: int = 4) -> None:
        self.key, self.context = key, context
        self._texts: list[_Text] = []

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) float -> (R,) int64."""
        drawn = rng.categorical(scores)
        contexts = [self._context(text) for text in self._rows(len(scores))]
        fresh = [
            before is not None and not text.seen[before]
            for before, text in zip(contexts, self._texts, strict=True)
        ]
        hashes = [_signed(context_hash(self.key, before or ())) for before in contexts]
        marked = watermarked(scores, torch.tensor(hashes, device=scores.device))
        return torch.where(torch.tensor(fresh, device=scores.device), marked, drawn)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""
        for text, token, grows in zip(self._rows(len(tokens)), tokens.tolist(), active.tolist(), strict=True):
            if grows:
                before = self._context(text)
                if before is not None:
                    text.seen[before] += 1
                text.tokens.append(token)

    def select(self, rows: Tensor) -> None:
        """(R',) int64."""
        if self._texts:
            old = self._texts
            self._texts = [_Text(list(old[row].tokens), Counter(old[row].seen)) for row in rows.tolist()]

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        for text, count in zip(self._rows(len(counts)), counts.tolist(), strict=True):
            for _ in range(min(count, len(text.tokens))):
                text.tokens.pop()
                before = self._context(text)
                if before is not None:
                    text.seen[before] -= 1

    def _rows(self, count: int) -> list[_Text]:
        if not self._texts:
            self._texts = [_Text() for _ in range(count)]
        return self._texts

    def _context(self, text: _Text) -> tuple[int, ...] | None:
        return tuple(text.tokens[-self.context :]) if len(text.tokens) >= self.context else None


def _mix(bits: int) -> int:
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB & _MASK
    return bits ^ (bits >> 31)


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >= 1 << 63 else bits


def _right(bits: Tensor, shift: int) -> Tensor:
    """A shift that brings in zeros."""
    return (bits >> shift) & ((1 << (64 - shift)) - 1)
