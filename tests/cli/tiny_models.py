"""Models small enough to know every answer: the successor model goes on counting, a letter after a letter."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

ALPHABET = "abcdefghijklmnopqrstuvwxyz ."


class Letters:
    """A tokenizer of 28 characters: "a" is 0."""

    vocab_size = len(ALPHABET)

    def encode(self, text: str) -> list[int]:
        return [ALPHABET.index(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(ALPHABET[i] for i in ids)


class Successor(nn.Module):
    """After token t comes t + 1, by a margin of `margin` nats."""

    def __init__(self, margin: float = 20.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, 28)."""
        return nn.functional.one_hot((x + 1) % len(ALPHABET), len(ALPHABET)) * self.margin


class Slow(Successor):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.05)
        return super().forward(x)


class Poisoned(Successor):
    """Scores become NaN after the letter c."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).masked_fill((x == ALPHABET.index("c")).unsqueeze(-1), torch.nan)


class Raising(Successor):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > 8:
            raise RuntimeError("the ninth column\nis too much")
        return super().forward(x)


class Japanese(Letters):
    """Every token is 本."""

    def encode(self, text: str) -> list[int]:
        return [0 for _ in text]

    def decode(self, ids: list[int]) -> str:
        return "本" * len(ids)


def japanese() -> tuple[nn.Module, Letters]:
    return Successor(), Japanese()


def load() -> tuple[nn.Module, Letters]:
    return Successor(), Letters()


def flat() -> tuple[nn.Module, Letters]:
    """Every letter is as likely as any other."""
    return Successor(0.0), Letters()


def slow() -> tuple[nn.Module, Letters]:
    return Slow(), Letters()


def poisoned() -> tuple[nn.Module, Letters]:
    return Poisoned(), Letters()


def raising() -> tuple[nn.Module, Letters]:
    return Raising(), Letters()


def without_tokenizer() -> nn.Module:
    return Successor()


instance = Successor()


def needs(path: str) -> nn.Module:
    return Successor()


def fails() -> nn.Module:
    raise ValueError("the weights are gone\nand this is a second line")


def leaves() -> nn.Module:
    raise SystemExit(0)


def nothing() -> None:
    return None


def weights() -> dict[str, Tensor]:
    return {}


class Chatty(Successor):
    def forward(self, x: Tensor) -> Tensor:
        print("thinking")
        return super().forward(x)


def chatty() -> tuple[nn.Module, Letters]:
    """Prints where it has no business to."""
    print("loading")
    return Chatty(), Letters()


def mild() -> tuple[nn.Module, Letters]:
    """A favourite that sampling does not always take."""
    return Successor(2.0), Letters()


def escaping() -> tuple[nn.Module, Letters]:
    """A tokenizer whose letters clear the screen."""

    class Escaping(Letters):
        def decode(self, ids: list[int]) -> str:
            return "".join(f"\x1b[2J{ALPHABET[i]}" for i in ids)

    return Successor(), Escaping()


class Interrupting(Successor):
    """Ctrl-C comes while the ninth letter is read."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > 8 and bool((x[:, :3] == torch.arange(3)).all()):
            raise KeyboardInterrupt
        return super().forward(x)


def interrupting() -> tuple[nn.Module, Letters]:
    return Interrupting(), Letters()


def narrow() -> tuple[nn.Module, Letters]:
    """A context of 12 letters."""
    model = Successor()
    model.block_size = 12  # type: ignore[assignment]
    return model, Letters()
