"""What the engine's tests share: a strategy that obeys the test, steps and models that tell what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from decodery import Decoder, Generation, Pipeline, hookimpl
from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.engine.run.run import Run
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.testing import TableModel

VOCAB = 24
CPU = torch.device("cpu")


class Script:
    """A strategy that does what the test tells it."""

    act: Callable[[Run], None]

    def decode(self, run: Run) -> None:
        type(self).act(run)


class SecondBest:
    """A per-token strategy that is lost where fewer than two tokens are left."""

    def choose(self, scores: Tensor, rng: Any) -> Tensor:
        return scores.topk(2).indices[:, 1]


class Told:
    """Keeps the facts that it was built with."""

    built: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, **facts: Any) -> None:
        self.built.append(facts)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores


class Shaken:
    """Adds a row's own random number to its scores."""

    def __init__(self, *, rng: Any) -> None:
        self.rng = rng

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + self.rng.uniform("shake").unsqueeze(-1).float()  # (1,) -> (1, 1)


class WholeBatchTotals:
    """One object for all rows: adds the sum of what each row observed; follows rows."""

    def __init__(self) -> None:
        self.sums: list[list[int]] = []

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.sums = self.sums or [[] for _ in tokens]
        for kept, token, on in zip(self.sums, tokens.tolist(), active.tolist(), strict=True):
            kept.extend([token] if on else [])

    def select(self, rows: Tensor) -> None:
        self.sums = [list(self.sums[row]) for row in rows.tolist()] if self.sums else []

    def rewind(self, counts: Tensor) -> None:
        self.sums = [kept[: len(kept) - n] for kept, n in zip(self.sums, counts.tolist(), strict=True)]

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        if not self.sums:
            return scores
        return scores + torch.tensor([[float(sum(kept))] for kept in self.sums])  # (R, V) + (R, 1)


@hookimpl
def provide_strategies() -> list[StrategySpec]:
    return [
        StrategySpec("script", Script),
        StrategySpec("second_best", SecondBest, min_keep=2),
        StrategySpec("second_best_told", SecondBest, min_keep=lambda facts: 2),
    ]


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [
        StepSpec("told_length", "processor", Told, needs=frozenset({"max_length", "pad"})),
        StepSpec("told_encoder", "processor", Told, needs=frozenset({"encoder_ids"})),
        StepSpec(
            "told_prompt",
            "processor",
            Told,
            needs=frozenset({"prompt_lengths"}),
            traits=frozenset({"stateless"}),
        ),
        StepSpec("shaken", "processor", Shaken, needs=frozenset({"rng"})),
        StepSpec("totals", "processor", WholeBatchTotals, traits=frozenset({"ragged"})),
    ]


HOST = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])


def perform(
    act: Callable[[Run], None], prompts: list[list[int]], pipe: Pipeline | None = None, **arguments: Any
) -> Generation:
    """Run `act` as a strategy over a table model."""
    Script.act = staticmethod(act)
    base = pipe or Pipeline(host=HOST).stop("max_new_tokens", 40)
    ours = Pipeline(host=HOST, processors=base.processors, stops=base.stops).with_strategy("script")
    decoder = Decoder(TableModel(VOCAB), ours, vocab_size=VOCAB, host=HOST)
    return decoder.generate(prompts, **{"seed": 1, **arguments})


def one_hot(*tokens: int, vocab: int = VOCAB) -> Tensor:
    """A script that plays these tokens after a prompt of one."""
    script = torch.zeros(len(tokens), vocab)
    script[range(len(tokens)), list(tokens)] = 9.0
    return script


class Letters:
    """Token i is the i-th letter."""

    vocab_size = VOCAB

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(97 + token) for token in ids)


class Observed:
    """Ends a row after it has observed so many tokens, as the fact `active` counts them; follows rows."""

    def __init__(self, after: int = 3) -> None:
        self.after, self.seen = after, 0

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.seen += int(active.sum())

    def select(self, rows: Tensor) -> None: ...

    def rewind(self, counts: Tensor) -> None:
        self.seen -= int(counts.sum())

    def __call__(self, input_ids: Tensor, scores: Tensor) -> bool:
        return self.seen >= self.after
