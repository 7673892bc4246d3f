"""Under select and rewind, every kind of session gives the logits of the rows as they now stand."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline, hookimpl
from decodery.contracts.errors import CannotFollow, InvalidInput
from decodery.contracts.specs import StepSpec, StrategySpec
from decodery.contracts.steps import Step
from decodery.engine.run.run import Run
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.testing import TableModel

VOCAB = 24


class Script:
    """A strategy that does what the test tells it."""

    act: Callable[[Run], None]

    def decode(self, run: Run) -> None:
        type(self).act(run)


class Wide:
    """Chooses the third best, so filters must leave three."""

    def choose(self, scores: Tensor, rng: Any) -> Tensor:
        return scores.topk(3).indices[:, 2]


@hookimpl
def provide_strategies() -> list[StrategySpec]:
    return [
        StrategySpec("script", Script),
        StrategySpec("wide", Wide, min_keep=3),
        StrategySpec("helped", Wide, roles=("draft",)),
    ]


def perform(
    model: Any, act: Callable[[Run], None], prompts: list[list[int]], pipe: Pipeline | None = None
) -> Any:
    Script.act = staticmethod(act)
    host = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])
    base = pipe or Pipeline().stop("max_new_tokens", 40)
    ours = Pipeline(host=host, processors=base.processors, stops=base.stops).with_strategy("script")
    return Decoder(model, ours, vocab_size=VOCAB, host=host).generate(prompts, seed=1)


class Cached(nn.Module):
    """`model(x, input_pos)` with a cache that knows nothing of rows but their place."""

    def __init__(self) -> None:
        super().__init__()
        self.table = TableModel(VOCAB)
        self.weight = nn.Parameter(torch.zeros(1))
        self.max_seq_length = 64

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        self.tokens = torch.zeros(max_batch_size, max_seq_length, dtype=torch.int64)

    def forward(self, x: Tensor, input_pos: Tensor) -> Tensor:
        self.tokens[: len(x), input_pos] = x
        return self.table(self.tokens[: len(x), : int(input_pos[-1]) + 1])[:, input_pos]


def llama() -> nn.Module:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            initializer_range=0.4,
        )
    ).eval()


def truth(model: Any, ids: list[int]) -> Tensor:
    """The last position's logits of one row, without any cache."""
    if isinstance(model, Cached):
        model = model.table
    with torch.no_grad():
        out = model(torch.tensor([ids]))
    return (out if isinstance(out, Tensor) else out.logits)[0, -1]


MODELS: dict[str, Callable[[], Any]] = {
    "stateless": lambda: TableModel(VOCAB),
    "input_pos": Cached,
    "hf": llama,
}


@pytest.mark.parametrize(
    ("name", "ragged"), [("stateless", False), ("input_pos", False), ("hf", False), ("hf", True)]
)
def test_any_order_of_append_select_and_rewind_keeps_rows_right(name: str, ragged: bool) -> None:
    model, rng = MODELS[name](), random.Random(f"{name}{ragged}")
    checked = 0

    def act(run: Run) -> None:
        nonlocal checked
        rows = [run.input_ids[r, : run.lengths[r]].tolist() for r in range(len(run.lengths))]
        starts = [len(row) for row in rows]
        for _ in range(30):
            logits, active = run.logits(), run.active
            for row in active:
                torch.testing.assert_close(logits[row], truth(model, rows[row]), atol=2e-4, rtol=1e-4)
                checked += 1
            move = rng.choice(["append", "append", "select", "rewind"])
            if move == "append":
                tokens = [rng.randrange(VOCAB) for _ in rows]
                run.append(torch.tensor(tokens), stop=False)
                for row in active:
                    rows[row].append(tokens[row])
            elif move == "select":
                chosen = [rng.randrange(len(rows)) for _ in range(rng.randint(1, 5))]
                run.select(torch.tensor(chosen))
                rows, starts = [list(rows[r]) for r in chosen], [starts[r] for r in chosen]
            else:
                counts = [rng.randint(0, len(row) - start) for row, start in zip(rows, starts, strict=True)]
                run.rewind(torch.tensor(counts))
                rows = [row[: len(row) - count] for row, count in zip(rows, counts, strict=True)]
            assert run.lengths.tolist() == [len(row) for row in rows]
            assert [run.input_ids[r, : len(row)].tolist() for r, row in enumerate(rows)] == rows
        run.select(torch.arange(3) % len(rows))

    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9]] if ragged else [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    for _ in range(8):
        perform(model, act, prompts)
    assert checked > 200


class Totals:
    """Keeps the sum of what it observed, row by row; follows rows."""

    def __init__(self) -> None:
        self.sums: list[list[int]] = []

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.sums = self.sums or [[] for _ in tokens]
        for kept, token, on in zip(self.sums, tokens.tolist(), active.tolist(), strict=True):
            kept.extend([token] if on else [])

    def select(self, rows: Tensor) -> None:
        self.sums = [list(self.sums[r]) for r in rows.tolist()] if self.sums else []

    def rewind(self, counts: Tensor) -> None:
        self.sums = [kept[: len(kept) - n] for kept, n in zip(self.sums, counts.tolist(), strict=True)]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + sum(self.sums[0]) if self.sums else scores


def test_the_state_of_steps_follows_its_row() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([2, 5]), stop=False)
        run.select(torch.tensor([1, 0, 1]))
        run.logits()
        run.append(torch.tensor([1, 1, 7]), stop=False)
        assert run.process(torch.zeros(3, VOCAB))[:, 0].tolist() == [6, 3, 12]
        run.rewind(torch.tensor([1, 0, 2]))
        run.logits()
        assert run.process(torch.zeros(3, VOCAB))[2, 0].tolist() == 0
        run.select(torch.tensor([0, 1]))

    perform(TableModel(VOCAB), act, [[1], [2]], Pipeline().add(Totals).stop("max_new_tokens", 9))


def test_random_numbers_follow_their_row() -> None:
    def act(run: Run) -> None:
        run.logits()
        before = run.uniform("draw")
        run.append(torch.tensor([3, 4]), stop=False)
        later = run.uniform("draw")
        run.select(torch.tensor([1, 0, 1]))
        selected = run.uniform("draw")
        assert torch.equal(selected[:2], later[[1, 0]])
        assert selected[2] != later[1]  # a forked row would else draw what its twin draws, for ever
        run.rewind(torch.tensor([1, 1, 0]))
        again = run.uniform("draw")
        assert torch.equal(again, torch.stack((before[1], before[0], selected[2])))
        run.select(torch.tensor([0, 1]))

    perform(TableModel(VOCAB), act, [[1], [2]])


def test_a_step_that_cannot_follow_is_refused_by_name() -> None:
    class Keeper:
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return scores

    def act(run: Run) -> None:
        run.logits()
        with pytest.raises(CannotFollow, match="'keeper' may keep state"):
            run.select(torch.tensor([0]))
        with pytest.raises(CannotFollow, match="taken back"):
            run.rewind(torch.tensor([0]))

    perform(TableModel(VOCAB), act, [[1]], Pipeline().add(Keeper).stop("max_new_tokens", 9))


def test_a_prompt_cannot_be_taken_back() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([3]), stop=False)
        with pytest.raises(InvalidInput, match="row 0 has 1 generated"):
            run.rewind(torch.tensor([2]))

    perform(TableModel(VOCAB), act, [[1]])


def test_a_row_that_loses_tokens_is_not_finished_any_more() -> None:
    def act(run: Run) -> None:
        run.logits()
        run.append(torch.tensor([3]))
        assert run.done
        run.rewind(torch.tensor([1]))
        assert not run.done
        run.logits()
        run.append(torch.tensor([7]))

    gen = perform(TableModel(VOCAB), act, [[1]], Pipeline().stop("stop_token_ids", [3, 7]))
    assert (gen.tokens, gen.finish_reasons) == ([[7]], ["stop_token_ids"])


class Shaken:
    """Adds a row's own random number to its scores. Slots, as frugal authors write; a model that must not be copied."""

    __slots__ = ("net", "rng")
    nets: ClassVar[set[int]] = set()

    def __init__(self, *, rng: Any) -> None:
        self.rng, self.net = rng, NET

    def observe(self, tokens: Tensor, active: Tensor) -> None: ...

    def select(self, rows: Tensor) -> None: ...

    def rewind(self, counts: Tensor) -> None: ...

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.nets.add(id(self.net))
        return scores + self.rng.uniform("shake").unsqueeze(-1).float()  # (1,) -> (1, 1)


NET = nn.Linear(1, 1)


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [StepSpec("shaken", "processor", Shaken, needs=frozenset({"rng"}))]


def test_a_step_draws_its_own_numbers_and_its_copies_those_of_their_row() -> None:
    def act(run: Run) -> None:
        run.logits()
        zeros = torch.zeros(2, VOCAB)
        shaken = run.process(zeros)[:, 0]
        assert not torch.equal(shaken, run.uniform("shake").float())  # the strategy's "shake" is another
        assert not torch.equal(shaken, run.uniform("draw").float())
        run.select(torch.tensor([1, 0]))
        assert torch.equal(run.process(zeros)[:, 0], shaken[[1, 0]])
        run.select(torch.tensor([0, 0]))
        first, second = run.process(zeros)[:, 0].tolist()
        assert first == shaken[1]
        assert second != first

    host = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])
    pipe = Pipeline(host=host).add("shaken").stop("max_new_tokens", 9)
    perform(TableModel(VOCAB), act, [[1], [2]], pipe)
    assert Shaken.nets == {id(NET)}


def test_a_step_that_occurs_twice_draws_two_numbers() -> None:
    def act(run: Run) -> None:
        run.logits()
        total = run.process(torch.zeros(1, VOCAB))[0, 0]
        single = pipe_of(1).bind(prompt=torch.tensor([[1]]), seed=1)(
            torch.tensor([[1]]), torch.zeros(1, VOCAB)
        )
        assert total != 2 * single[0, 0]

    def pipe_of(count: int) -> Pipeline:
        pipe = Pipeline(host=Host("tests", plugins=[PluginInfo("tests", "0", __name__)]))
        for _ in range(count):
            pipe = pipe.add("shaken")
        return pipe.stop("max_new_tokens", 9)

    perform(TableModel(VOCAB), act, [[1]], pipe_of(2))


def test_scores_and_log_probabilities_follow_their_rows() -> None:
    """A strategy that swaps rows and takes a token back: what is recorded is what the rows hold."""

    def act(run: Run) -> None:
        for _ in range(3):
            run.append(run.logits().argmax(-1), stop=False)
        run.rewind(torch.tensor([1, 2]))
        run.select(torch.tensor([1, 0]))
        run.append(run.logits().argmax(-1), stop=False)
        run.append(run.logits().argmax(-1), stop=False)

    Script.act = staticmethod(act)
    host = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])
    pipe = Pipeline(host=host).with_strategy("script").add("top_k", 5)
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, host=host)
    gen = decoder.generate([[1], [2]], logprobs=1, return_scores=True)
    assert gen.logprobs is not None
    assert gen.scores is not None
    assert [[entry.token for entry in row] for row in gen.logprobs] == gen.tokens
    for tokens, scores in zip(gen.tokens, gen.scores, strict=True):
        assert scores.argmax(-1).tolist() == tokens
        assert (scores.isfinite().sum(-1) == 5).all()


def test_filters_leave_as_many_tokens_as_the_strategy_needs() -> None:
    host = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])
    table = TableModel(VOCAB)
    for step, value in (
        ("top_k", 1),
        ("top_p", 0.01),
        ("min_p", 0.99),
        ("typical_p", 0.01),
        ("epsilon_cutoff", 0.9),
    ):
        pipe = Pipeline(host=host).add(step, value).with_strategy("wide")
        gen = Decoder(table, pipe, vocab_size=VOCAB, host=host).generate(
            [[1]], max_new_tokens=1, return_scores=True
        )
        assert gen.scores is not None
        assert int(gen.scores[0].isfinite().sum()) == 3, step


class PromptBoost:
    """Stateless, but built with a per-row fact and not ragged: one object a row."""

    def __init__(self, *, prompt_lengths: Tensor) -> None:
        self.length = int(prompt_lengths)  # would fail for more than one row

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.half().roll(self.length, dims=-1)  # another dtype, which the engine puts right


def test_a_stateless_step_with_per_row_facts_is_built_once_a_row() -> None:
    spec = StepSpec(
        "boost",
        "processor",
        PromptBoost,
        needs=frozenset({"prompt_lengths"}),
        traits=frozenset({"stateless"}),
    )
    pipe = Pipeline(processors=(Step(spec, None, "tests/boost"),))
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB)
    prompts = [[1, 2, 3], [4], [5, 6]]
    batch = decoder.generate(prompts, max_new_tokens=5, return_scores=True)
    assert batch.tokens == [decoder.generate([p], max_new_tokens=5).tokens[0] for p in prompts]
    assert batch.scores is not None
    assert batch.scores[0].dtype == torch.float32


def test_a_strategy_whose_roles_nobody_fills_is_refused_by_name() -> None:
    host = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])
    pipe = Pipeline(host=host).with_strategy("helped")
    with pytest.raises(InvalidInput, match="'helped' needs a model for the role 'draft'"):
        Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB, host=host).generate([[1]])
