"""Steps and strategies that break one promise each; `offending_steps.py` says which."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, ClassVar

import torch
from honest_steps import AtLength, Counts, Idle, LastRepeats
from pydantic import BeforeValidator
from torch import Tensor

from decodery.contracts.lowering import Truncation
from decodery.contracts.params import NonNegativeFloat, Probability, params
from decodery.contracts.specs import StrategySpec


def made(function: Callable[[Tensor, Tensor], Any]) -> Callable[[], Any]:
    """A factory of a step that is a plain function of (input_ids, scores)."""
    return lambda: function


@params
class Doubling:
    amount: Annotated[NonNegativeFloat, BeforeValidator(lambda value: value * 2)]


@params
class Unwritten:
    amount: frozenset[int] = frozenset({1})


@params
class Amount:
    amount: NonNegativeFloat = 0.5


class Level(str, Enum):
    LOW = "low"
    HIGH = "high"


@params
class Levelled:
    amount: Level = Level.LOW


@params
class Anything:
    amount: Any = 1


@params
class Ratio:
    p: Probability = 0.3


class KeepsRatio:
    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        probs = scores.softmax(-1)
        return scores.masked_fill(probs < self.p * probs.amax(-1, keepdim=True), -torch.inf)


def lowers_to_half(params: Any, facts: Any) -> Truncation:
    return Truncation("ratio", params.p / 2)


class OneNumber:
    """Shifts its row by the number that it was given first."""

    def __init__(self, *, rng: Any) -> None:
        self.number = rng.uniform()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + self.number[:, None].to(scores.dtype)


def draws_in_vain(ids: Tensor, scores: Tensor) -> Tensor:
    return scores + 0 * torch.rand(1).to(scores.dtype)


def asks_the_host(ids: Tensor, scores: Tensor) -> Tensor:
    return scores * (1.0 if scores.max().item() > -1e9 else 2.0)


class Scaled:
    def __init__(self, amount: float = 0.5) -> None:
        self.amount = amount

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores * (1.01 + self.amount)


def refuses() -> Any:
    raise ValueError("no such luck")


def idle(amount: object) -> Idle:
    return Idle()


def nan_where_allowed(ids: Tensor, scores: Tensor) -> Tensor:
    spoiled = torch.arange(scores.shape[1]) == 3
    return torch.where(spoiled & (scores > -torch.inf), torch.nan, scores)


def infinite_where_allowed(ids: Tensor, scores: Tensor) -> Tensor:
    spoiled = torch.arange(scores.shape[1]) == 3
    return torch.where(spoiled & (scores > -torch.inf), torch.inf, scores)


def bans_certainties(ids: Tensor, scores: Tensor) -> Tensor:
    return scores.masked_fill(scores.double().softmax(-1) > 0.999, -torch.inf)


def lowers_the_best(ids: Tensor, scores: Tensor) -> Tensor:
    return scores.scatter_add(1, scores.argmax(-1, keepdim=True), scores.new_full((len(scores), 1), -5.0))


def writes_scores(ids: Tensor, scores: Tensor) -> Tensor:
    return scores.add_(1)


def writes_ids(ids: Tensor, scores: Tensor) -> Tensor:
    ids[:, -1] = 0
    return scores


def standardises(ids: Tensor, scores: Tensor) -> Tensor:
    """The squares overflow in float32 where a model wrote bfloat16's lowest number."""
    squares = torch.where(scores > -torch.inf, scores, 0).square()
    return scores / (squares.mean(-1, keepdim=True) + 1).sqrt()


class Remembers(Idle):
    """Its answers grow with the number of calls."""

    calls = 0

    def __call__(self, input_ids: Tensor, scores: Tensor, **facts: Tensor) -> Tensor:
        self.calls += 1
        return scores + self.calls


class Shares(Idle):
    """Keeps its rows in the class while it works."""

    scratch: ClassVar[list[Tensor]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor, **facts: Tensor) -> Tensor:
        self.scratch[:] = [scores]
        time.sleep(2e-4)
        return self.scratch[0] + 1


class IgnoresActive(Counts):
    def observe(self, tokens: Tensor, active: Tensor) -> None:
        super().observe(tokens, torch.ones_like(active))


class LosesRows(Counts):
    def select(self, rows: Tensor) -> None:
        """As if beams stayed where they are."""


class SharesForks(Counts):
    def select(self, rows: Tensor) -> None:
        """Two rows that come from one go on with the same list."""
        self.rows = [self.rows[row] for row in rows.tolist()]


class NeverForgets(Counts):
    def rewind(self, counts: Tensor) -> None:
        """Tokens taken back count for ever."""


class LongestRow(LastRepeats):
    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        return scores - lengths.max()


class SumsPadding(LastRepeats):
    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        return scores + input_ids.sum(-1, keepdim=True)


class FindsInPadding(LastRepeats):
    """Looks for a certain id anywhere, and finds it after the row's end."""

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        return scores + (input_ids == 3).any(-1, keepdim=True)


class IndexesPadding(LastRepeats):
    """Fails on a pad id beyond the vocabulary."""

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        return scores + (0 * scores.gather(1, input_ids).nan_to_num(neginf=0)).sum(-1, keepdim=True)


class WordyLimit(AtLength):
    def limit(self, prompt_lengths: Tensor) -> Tensor:
        return self.length  # type: ignore[return-value]


class NoRoom(AtLength):
    """Stops at once, and forgets that a rule is asked after a token."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return torch.ones(len(input_ids), dtype=torch.bool)

    def limit(self, prompt_lengths: Tensor) -> Tensor:
        return prompt_lengths


class EndsLate(AtLength):
    def limit(self, prompt_lengths: Tensor) -> Tensor:
        return (prompt_lengths + 1).clamp(min=self.length - 1)


def chooses(function: Callable[[Tensor, Any], Tensor], draw: Any = "custom") -> StrategySpec:
    return StrategySpec("tried", type("Chosen", (), {"choose": staticmethod(function)}), draw=draw)


def last_of_equals(scores: Tensor, rng: Any) -> Tensor:
    return scores.shape[-1] - 1 - scores.flip(-1).argmax(-1)


def second_purpose(scores: Tensor, rng: Any) -> Tensor:
    return rng.categorical(scores, "other")  # type: ignore[no-any-return]


def own_randomness(scores: Tensor, rng: Any) -> Tensor:
    return torch.multinomial(scores.softmax(-1), 1).squeeze(1)


def as_many_rows(scores: Tensor, rng: Any) -> Tensor:
    """The token of a rank that depends on how many rows there are; a banned one never."""
    allowed = (scores > -torch.inf).sum(-1)
    return scores.argsort(-1, descending=True).gather(1, (len(scores) % allowed)[:, None]).squeeze(1)


def zeroes_its_argument(scores: Tensor, rng: Any) -> Tensor:
    best = scores.argmax(-1)
    scores.zero_()
    return best
