"""The same rows as transformers' `generate` takes them, and objects whose state has to follow them."""

from __future__ import annotations

from typing import Any

import torch
from random_configs import EOS, PAD, VOCAB
from torch import Tensor

RAGGED = [[11, 12, 13], [21, 22, 23, 24, 25], [31]]
SHOWN = {"pad_token_id": PAD, "eos_token_id": EOS}
FREE = {"do_sample": True, "top_k": 0}
"""Sampling as generate does it, less the 50 best that nobody asked for."""


def padded(prompts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """ids and attention mask, (B, T) each, padded on the left."""
    width = max(map(len, prompts))
    pads = [width - len(prompt) for prompt in prompts]
    ids = [[PAD] * pad + prompt for pad, prompt in zip(pads, prompts, strict=True)]
    seen = [[0] * pad + [1] * len(prompt) for pad, prompt in zip(pads, prompts, strict=True)]
    return torch.tensor(ids), torch.tensor(seen)


def new_tokens(sequences: Tensor, begin: int) -> list[list[int]]:
    """What each row got, up to its end."""
    rows: list[list[int]] = sequences[:, begin:].tolist()
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]


class Counted:
    """A penalty for every id by how many generated ones are no greater, counted as the tokens come."""

    def __init__(self) -> None:
        self.counts: Tensor | None = None
        self.past: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores if self.counts is None else scores - 0.5 * self.counts.cumsum(-1)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        before = torch.zeros(len(tokens), VOCAB) if self.counts is None else self.counts
        self.past.append(before)
        self.counts = before + torch.nn.functional.one_hot(tokens, VOCAB) * active.unsqueeze(1)

    def select(self, rows: Tensor) -> None:
        self.counts = None if self.counts is None else self.counts[rows]
        self.past = [counts[rows] for counts in self.past]

    def rewind(self, counts: Tensor) -> None:
        for _ in range(int(counts.max())):
            self.counts = self.past.pop()


class Recounted:
    """The same, counted anew at each call: transformers' own signature, nothing to follow."""

    def __init__(self, prompt: int) -> None:
        self.prompt = prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        new = input_ids[:, self.prompt :]
        return scores - 0.5 * torch.nn.functional.one_hot(new, VOCAB).sum(1).cumsum(-1)


class Calls:
    """A step whose state lives in its calls: nothing can take it back."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.calls += 1
        return scores.roll(self.calls, dims=-1)


def letters() -> Any:
    class Letters:
        """A tokenizer of one letter a token."""

        bos, eos, pad, size = None, (), None, VOCAB

        def encode(self, text: str, special: bool = True) -> list[int]:
            return [ord(letter) - 40 for letter in text]

        def decode(self, ids: list[int]) -> str:
            return "".join(chr(token + 40) for token in ids)

    return Letters()
