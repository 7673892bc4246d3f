"""Strategies, models, adapters and recipes that break one promise each; `offending_steps.py` lists them."""

from collections import Counter
from typing import Any, ClassVar

import torch
from honest_steps import OwnLoop
from torch import Tensor

from decodery.contracts.protocols import Capabilities, ModelFacts
from decodery.contracts.specs import AdapterSpec, ModelSpec, RecipeSource, StrategySpec
from decodery.contracts.watermarks import Evidence, nothing
from decodery.testing import TableModel, UniformModel

VOCAB = 12


class Lazy(OwnLoop):
    """Ends every row at once, with nothing in it."""

    def decode(self, run: Any) -> None:
        return None


class Endless(OwnLoop):
    """Never appends what it picks."""

    def decode(self, run: Any) -> None:
        while not run.done:
            run.scores()


class Wandering(OwnLoop):
    """Draws from torch's own generator."""

    def decode(self, run: Any) -> None:
        while not run.done:
            run.append(torch.multinomial(run.scores().softmax(-1), 1)[:, 0])


class Leading(OwnLoop):
    """Every row follows the first one."""

    def decode(self, run: Any) -> None:
        while not run.done:
            run.append(run.scores().argmax(-1)[0].expand(len(run.lengths)).clone())


class Tiring:
    """From the fourth token of a run on, the number of runs that there were in the life of the process."""

    runs: ClassVar[Counter[str]] = Counter()
    calls = 0

    def choose(self, scores: Tensor, rng: Any) -> Tensor:
        self.calls += 1
        self.runs["long"] += self.calls == 4
        best = scores.argmax(-1)
        return best if self.calls < 4 else torch.full_like(best, self.runs["long"] % scores.shape[-1])


class Hoarding:
    """Draws all its tokens from one number, taken when it is first asked."""

    number: Tensor | None = None

    def choose(self, scores: Tensor, rng: Any) -> Tensor:
        if self.number is None:
            self.number = rng.uniform()
        sums = scores.double().softmax(-1).cumsum(-1)
        return (sums < self.number[:, None]).sum(-1).clamp(max=scores.shape[-1] - 1)


def sharper(scores: Tensor, rng: Any) -> Tensor:
    return rng.categorical(scores * 1.5)  # type: ignore[no-any-return]


def strategy(factory: Any, draw: Any = "custom") -> StrategySpec:
    return StrategySpec("tried", factory, draw=draw)


class Session:
    """A table's session: keeps the ids and asks the model for all of them."""

    def __init__(self, model: TableModel) -> None:
        self.model = model

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **more: Any) -> Tensor:
        self.ids = input_ids
        return self.model(self.ids)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        self.ids = torch.cat([self.ids, tokens], 1)
        return self.model(self.ids)[:, -tokens.shape[1] :]

    def select(self, rows: Tensor) -> None:
        self.ids = self.ids[rows]

    def rewind(self, counts: Tensor) -> None:
        self.ids = self.ids[:, : self.ids.shape[1] - int(counts[0])]

    def close(self) -> None: ...


class ForgetsSteps(Session):
    def step(self, tokens: Tensor) -> Tensor:
        answer = self.model(torch.cat([self.ids, tokens], 1))[:, -tokens.shape[1] :]
        self.ids = torch.cat([self.ids, tokens[:, :1]], 1)  # of several tokens, one is kept
        return answer


class NeverMoves(Session):
    def select(self, rows: Tensor) -> None: ...


class NeverForgets(Session):
    def rewind(self, counts: Tensor) -> None: ...


class SeesPads(Session):
    """Claims masks and reads none."""


class Decodable:
    def __init__(self, model: TableModel, session: type[Session], masks: bool) -> None:
        self.model, self.session = model, session
        can = Capabilities(masks=masks, select=True, rewind="ragged")
        self.facts = ModelFacts(VOCAB, None, torch.device("cpu"), torch.float32, can)

    def open(self, batch_size: int, length: int | None) -> Session:
        return self.session(self.model)


def probe(model: object, options: Any) -> str | None:
    return "a table" if isinstance(model, TableModel) else None


def curious(model: Any, options: Any) -> str | None:
    return "a model with a name" if model.config.name else None


def wordless(model: Any, options: Any) -> Any:
    return isinstance(model, TableModel)


def rolling(model: Any, options: Any) -> str | None:
    torch.rand(1)
    return None


def adapter(session: type[Session] = Session, look: Any = probe, masks: bool = False) -> AdapterSpec:
    return AdapterSpec("tried", look, lambda model, options: Decodable(model, session, masks))


TABLE = {"samples": {"model": TableModel(VOCAB)}}


class Letters:
    """26 letters, whatever the model's vocabulary."""

    def encode(self, text: str) -> list[int]:
        return [(ord(letter) - ord("a")) % 26 for letter in text]

    def decode(self, ids: Any) -> str:
        return "".join(chr(ord("a") + i) for i in ids)


class Mumbling(Letters):
    def encode(self, text: str) -> list[int]:
        return [i % VOCAB for i in super().encode(text)]

    def decode(self, ids: Any) -> str:
        return "a" * (len(ids) + 1)


def model(factory: Any) -> ModelSpec:
    return ModelSpec("tried", factory)


def table() -> TableModel:
    return TableModel(VOCAB)


def with_letters() -> tuple[TableModel, Letters]:
    return TableModel(26), Letters()


def with_too_many_letters() -> tuple[TableModel, Letters]:
    return TableModel(VOCAB), Letters()


def with_mumbling() -> tuple[TableModel, Letters]:
    return TableModel(VOCAB), Mumbling()


def growing() -> Any:
    """Its logits grow with the number of calls."""
    inner, calls = TableModel(VOCAB), Counter[int]()

    def growing_model(x: Tensor) -> Tensor:
        calls[0] += 1
        logits = inner(x)
        logits[..., 0] += calls[0] / 10
        return logits

    return growing_model


def mixing() -> Any:
    """Every row sees the sum of all."""
    inner = TableModel(VOCAB)
    return lambda x: inner(x) + inner(x).sum(0, keepdim=True)


def silent() -> Any:
    return lambda x: torch.full((*x.shape, VOCAB), -torch.inf)


def telling(p: float, rows: Any, **facts: Any) -> list[Evidence]:
    """The same p of every text."""
    return [Evidence(len(row), 1.0, 1.0, 0.0, p) if row else nothing(1.0) for row in rows]


def comparing(rows: Any, **facts: Any) -> list[Evidence]:
    """A text is marked where no other is longer."""
    longest = max(map(len, rows))
    return [Evidence(len(row), 1.0, 1.0, 0.0, 0.9 if len(row) < longest else 0.5) for row in rows]


HONEST_OTHERS = {
    "a table": (model(table), {}),
    "a table with letters": (model(with_letters), {}),
    "uniform": (model(lambda: UniformModel(VOCAB)), {}),
    "an adapter": (adapter(), {}),
    "an adapter with a model": (adapter(), TABLE),
}
ABSENT = RecipeSource("tried", "no_such_package:recipe.yaml")
