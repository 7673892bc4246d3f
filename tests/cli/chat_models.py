"""Models to chat with whose every answer is known: they are transcripts' other half, a byte a token."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

Script = Callable[[str], str]
"""What stands before the answer -> the answer and what follows it."""


class Bytes:
    """A token a byte."""

    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")


class Scripted(nn.Module):
    """Says what its script says after the last `Assistant:`. Looks at every position, as a plain model does."""

    block_size: int | None = None

    def __init__(self, script: Script, context: int | None = None, pause: float = 0.0) -> None:
        super().__init__()
        self.script, self.block_size, self.pause = script, context, pause
        self.shown: list[str] = []

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, 256)."""
        if self.pause:
            time.sleep(self.pause)
        logits = torch.zeros(*x.shape, 256)
        for row, ids in enumerate(x.tolist()):
            before, mark, said = bytes(ids).rpartition(b"Assistant:")
            if mark and before:
                logits[row, -1, self.next(before.decode(errors="replace"), said)] = 30.0
        return logits

    def next(self, before: str, said: bytes) -> int:
        """The byte after what was said of this answer."""
        self.shown += [] if said else [before]
        script = self.script(before).encode()
        return script[len(said) % len(script)]


class Remembering(Scripted):
    """The text so far is its state. `fed` counts the bytes that it was given."""

    fed = 0

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T) int64 -> (B, T, 256) and the text (B, S + T)."""
        text = x if state is None else torch.cat((state, x), dim=1)
        Remembering.fed += x.numel()
        return super().forward(text)[:, -x.shape[1] :], text


def remembering() -> tuple[nn.Module, Bytes]:
    return Remembering(lambda before: f" I heard {before.count('User:')}.\nUser:"), Bytes()


class Interrupted(Scripted):
    """Ctrl-C comes at the eighth byte of every second answer."""

    def next(self, before: str, said: bytes) -> int:
        if len(said) == 7 and before.count("User:") % 2:
            raise KeyboardInterrupt
        return super().next(before, said)


class Failing(Scripted):
    """Cannot answer where it reads "fail"."""

    def next(self, before: str, said: bytes) -> int:
        if before.endswith("fail\n"):
            raise ValueError("the weights are tired")
        if before.endswith("leave\n"):
            raise SystemExit(5)
        return super().next(before, said)


def counts(before: str) -> str:
    """How many messages it was shown, and on as a transcript would."""
    return f" I heard {before.count('User:')}. \nUser: and\n"


def load() -> tuple[nn.Module, Bytes]:
    return Scripted(counts), Bytes()


def narrow() -> tuple[nn.Module, Bytes]:
    """A context of 96 bytes."""
    return Scripted(counts, context=96), Bytes()


def japanese() -> tuple[nn.Module, Bytes]:
    return Scripted(lambda _: " 日本語です。\nUser:"), Bytes()


def interrupted() -> tuple[nn.Module, Bytes]:
    return Interrupted(lambda _: " a long story\nUser:"), Bytes()


def failing() -> tuple[nn.Module, Bytes]:
    return Failing(counts), Bytes()


def slow() -> tuple[nn.Module, Bytes]:
    return Scripted(lambda _: " one two three four five six seven eight\nUser:", pause=0.08), Bytes()


def flat() -> tuple[nn.Module, Bytes]:
    """Every byte is as likely as any other."""

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(*x.shape, 256)

    return Flat(), Bytes()


class Chatty(Bytes):
    """Talks while it works, and stops working at "wait"."""

    def encode(self, text: str) -> list[int]:
        print("encoding")
        if text.endswith("wait\nAssistant:"):
            raise KeyboardInterrupt
        return super().encode(text)


def chatty() -> tuple[nn.Module, Bytes]:
    return Scripted(counts), Chatty()


class Templated(Bytes):
    """A tokenizer of one's own with a template of its own."""

    def apply_chat_template(
        self, messages: list[dict[str, str]], tokenize: bool = True, add_generation_prompt: bool = False
    ) -> str:
        assert not tokenize
        text = "".join(f"[{m['role']}] {m['content']} [end] " for m in messages)
        return f"{text}Assistant:" if add_generation_prompt else text


def templated() -> tuple[nn.Module, Bytes]:
    return Scripted(lambda before: f" You: {before.strip()} [end] and so on"), Templated()
