"""Tokens a second, with the cache and without."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ..contracts.protocols import DecodableModel
from .probing.verify import random_ids
from .report import Speed

PROMPT, TOKENS, SECONDS = 8, 64, 0.5
"""Random prompt tokens, the most new ones, and the time after which measuring stops."""


def speed_of(decodable: DecodableModel) -> Speed | None:
    """One row, the best token each time: cached steps, and the whole text in a fresh session each. None where the
    context is too short to tell. Raises what the model raises."""
    facts = decodable.facts
    tokens = min(TOKENS, (facts.max_length or PROMPT + TOKENS) - PROMPT)
    if tokens < 1:
        return None
    ids = random_ids(1, PROMPT + tokens, facts.vocab_size).to(facts.device)
    session = decodable.open(1, PROMPT + tokens)
    try:
        session.prefill(ids[:, :PROMPT])
        cached = _timed(lambda at: session.step(ids[:, at : at + 1]), tokens, facts.device)
    finally:
        session.close()

    def whole(at: int) -> torch.Tensor:
        fresh = decodable.open(1, at + 1)
        try:
            return fresh.prefill(ids[:, : at + 1])
        finally:
            fresh.close()

    if getattr(decodable, "difference", None) is None and not getattr(decodable, "trusted", False):
        return Speed(cached[0], cached[1])  # no cache, or none that anybody vouches for
    return Speed(cached[0], cached[1], _timed(whole, cached[0], facts.device)[1])


def _timed(step: Callable[[int], torch.Tensor], tokens: int, device: torch.device) -> tuple[int, float]:
    """(tokens made, tokens a second)."""
    begun = time.perf_counter()
    for made in range(1, tokens + 1):
        answer = step(PROMPT + made - 1)
        if answer.is_cuda:
            torch.cuda.synchronize(device)
        spent = time.perf_counter() - begun
        if spent > SECONDS:
            break
    return made, made / max(spent, 1e-9)
