"""Small steps and strategies that keep every promise: what the offenders spoil, each in one place."""

from typing import Annotated, Any

import torch
from torch import Tensor

from decodery.contracts.params import FiniteFloat, TokenIds, alias, params
from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.contracts.watermarks import nothing


@params
class ShiftParams:
    """A bias on some tokens."""

    ids: TokenIds
    bias: Annotated[FiniteFloat, alias("logit_bias")] = 1.0


class Idle:
    """Does nothing, whatever it is handed."""

    def __init__(self, **facts: Any) -> None: ...

    def __call__(self, input_ids: Tensor, scores: Tensor, **facts: Tensor) -> Tensor:
        return scores


class Shift:
    def __init__(self, ids: tuple[int, ...], bias: float = 1.0) -> None:
        self.ids, self.bias = ids, bias

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.index_add(
            1, torch.tensor(self.ids), torch.full_like(scores[:, : len(self.ids)], self.bias)
        )


class Counts:
    """Lowers tokens that the run produced, by how often: with state, in one object a row or in one for all."""

    def __init__(self, *, prompt_lengths: Tensor) -> None:
        self.rows: list[list[int]] = [[] for _ in prompt_lengths]

    def __call__(self, input_ids: Tensor, scores: Tensor, **facts: Tensor) -> Tensor:
        vocab = scores.shape[-1]
        counts = [torch.bincount(torch.tensor(row, dtype=torch.int64), minlength=vocab) for row in self.rows]
        return scores - 0.5 * torch.stack(counts).to(scores.dtype)  # R x (V,) -> (R, V)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        for row, token, moves in zip(self.rows, tokens.tolist(), active.tolist(), strict=True):
            row.extend([token] * moves)

    def select(self, rows: Tensor) -> None:
        self.rows = [list(self.rows[row]) for row in rows.tolist()]

    def rewind(self, counts: Tensor) -> None:
        for row, count in zip(self.rows, counts.tolist(), strict=True):
            del row[len(row) - count :]


class Noise:
    """Shifts a row by a random number: the given one."""

    def __init__(self, *, rng: Any) -> None:
        self.rng = rng

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + self.rng.uniform("noise")[:, None].to(scores.dtype)


class LastRepeats:
    """Lowers the newest token."""

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        newest = input_ids.gather(1, lengths[:, None] - 1)  # (R, T) -> (R, 1)
        return scores.scatter_add(1, newest, scores.new_full(newest.shape, -2.0))


class AtLength:
    def __init__(self, length: int = 12) -> None:
        self.length = length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return torch.full((len(input_ids),), input_ids.shape[1] >= self.length)

    def limit(self, prompt_lengths: Tensor) -> Tensor:
        return (prompt_lengths + 1).clamp(min=self.length)


class Draws:
    def choose(self, scores: Tensor, rng: Any) -> Tensor:
        return rng.categorical(scores)  # type: ignore[no-any-return]


class OwnLoop:
    def decode(self, run: Any) -> None:
        while not run.done:
            run.append(run.scores().argmax(-1))


def processor(factory: Any, *traits: str, **more: Any) -> StepSpec:
    return StepSpec("tried", "processor", factory, traits=frozenset(traits), **more)


def rule(factory: Any, *traits: str, **more: Any) -> StepSpec:
    return StepSpec("tried", "stop", factory, traits=frozenset(traits), **more)


PROMPTS = frozenset({"prompt_lengths"})
EVERY_FACT = frozenset(
    {"eos", "pad", "vocab_size", "tokenizer", "device", "encoder_ids", "max_length", "rng"}
)

HONEST = {
    "idle": processor(Idle, "stateless", "argmax_invariant"),
    "idle and curious": processor(Idle, needs=EVERY_FACT),
    "shift": processor(Shift, "stateless", params=ShiftParams),
    "counts, an object a row": processor(Counts, needs=PROMPTS),
    "counts, one object": processor(Counts, "ragged", needs=PROMPTS),
    "noise": processor(Noise, needs=frozenset({"rng"})),
    "newest": processor(LastRepeats, "stateless", "ragged", "reads_history"),
    "at length": rule(AtLength, "stateless", "reads_history"),
    "plain bool": rule(lambda: lambda ids, scores: False, "stateless"),
    "draws": StrategySpec("tried", Draws, draw="categorical"),
    "own loop": StrategySpec("tried", OwnLoop),
    "never says yes": processor(
        Idle, "stateless", detector=lambda rows, **facts: [nothing(1.0) for _ in rows]
    ),
}
