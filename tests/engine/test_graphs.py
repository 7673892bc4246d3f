"""A step in a graph gives the tokens of the loop. Without CUDA the graph's function is called itself, uncaptured."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import pytest
import torch
from test_cuda import CHAIN, RAGGED, VOCAB, Table, llama
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import BadRow, InvalidInput, ModelError
from decodery.contracts.specs import StepSpec
from decodery.engine.graph import loop
from decodery.engine.graph.body import Body
from decodery.engine.graph.fusable import Fusable
from decodery.engine.run.said import Said
from decodery.testing import isolated_host

EQUAL = [[1, 2, 3], [4, 6, 7]]
HF = (
    Pipeline()
    .add("repetition_penalty", 1.2)
    .add("temperature", 0.9)
    .add("top_k", 20)
    .compat("hf")
    .with_strategy("sample", seed=3)
    .stop("eos")
    .stop("max_new_tokens", 14)
)
PIPES = {"row generator": CHAIN, "greedy": Pipeline().add("repetition_penalty", 1.3), "compat hf": HF}
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


def decoders(model: Any, pipe: Pipeline, device: str, adapter: Any = "auto") -> tuple[Decoder, Decoder]:
    """Without a graph, and with one."""
    facts: dict[str, Any] = {"vocab_size": VOCAB, "eos_token_id": 5, "pad_token_id": 0, "device": device}
    plain, other = (Decoder(model, pipe, adapter=adapter, **facts) for _ in range(2))
    other._setting = dataclasses.replace(other._setting, graphs=True)
    return plain, other


class Steady(Table):
    """The same with nothing asked of the host, so that it can be captured."""

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        device = self.table.device
        self.state = torch.zeros(max_batch_size, max_seq_length + 1, dtype=torch.int64, device=device)

    def forward(self, x: Tensor, input_pos: Tensor) -> Tensor:
        answers = []
        for column, place in zip(x.unbind(1), input_pos.split(1), strict=True):
            state = self.state[: len(x)].index_select(1, place).squeeze(1)  # (B, S) -> (B,)
            state = (state * 31 + column + 1) % 997
            self.state[: len(x)].index_copy_(1, place + 1, state.unsqueeze(1))
            answers.append(self.table[state])
        return torch.stack(answers, 1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("prompts", [RAGGED, EQUAL], ids=["ragged", "equal"])
@pytest.mark.parametrize("name", PIPES)
@pytest.mark.parametrize("kind", ["hf", "input_pos"])
def test_tokens_are_those_of_the_loop(kind: str, name: str, prompts: list[list[int]], device: str) -> None:
    if (kind, name, prompts) == ("input_pos", "compat hf", RAGGED):
        pytest.skip("compat hf pads, and this model takes no mask")
    torch.manual_seed(0)
    model: Any = llama() if kind == "hf" else Steady()
    adapter: Any = {"name": "hf", "cache": "static"} if kind == "hf" else "input_pos"
    plain, other = decoders(model, PIPES[name], device, adapter)
    for seed in range(3):
        expected = plain.generate(prompts, max_new_tokens=14, seed=seed)
        found = other.generate(prompts, max_new_tokens=14, seed=seed)
        assert found.tokens == expected.tokens
        assert found.finish_reasons == expected.finish_reasons


@pytest.mark.parametrize("device", DEVICES)
def test_a_stream_shows_the_same_events(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    plain, other = decoders(Steady(), CHAIN, device, "input_pos")
    heard = []
    between = Said.between
    monkeypatch.setattr(
        Said, "between", lambda self, *span: (heard.append(between(self, *span)), heard[-1])[1]
    )
    for prompts in (RAGGED, EQUAL):
        expected = list(plain.stream(prompts, max_new_tokens=9, seed=2))
        assert not any(heard)
        assert list(other.stream(prompts, max_new_tokens=9, seed=2)) == expected
        # Tokens that the loop has read are not asked of the device again.
        assert sum(len(tokens or ()) for tokens in heard) > len(prompts)
        heard.clear()
    expected = plain.generate(EQUAL, max_new_tokens=9, seed=2, logprobs=2)
    found = other.generate(EQUAL, max_new_tokens=9, seed=2, logprobs=2)
    assert found.logprobs == expected.logprobs


class Counts:
    """A step with state: it bans the token that it saw last."""

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.last = tokens.clone()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.last is None:
            return scores
        return scores.scatter(1, self.last.unsqueeze(1), -torch.inf)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("compat", [False, True])
def test_a_step_that_cannot_be_held_is_named_and_the_graph_is_split_there(
    compat: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    pipe = Pipeline().add("repetition_penalty", 1.2).add(Counts()).add("temperature", 1.5).add("top_k", 7)
    pipe = pipe.with_strategy("sample", seed=1).stop("stop_token_ids", [3])
    plain, other = decoders(Steady(), pipe.compat("hf") if compat else pipe, device, "input_pos")
    expected = plain.generate(EQUAL, max_new_tokens=10)
    called: list[str] = []
    for name in ("first", "last", "step"):
        own = getattr(Body, name)
        monkeypatch.setattr(Body, name, lambda self, own=own, name=name: (called.append(name), own(self))[1])
    with pytest.warns(
        RuntimeWarning, match="'counts' cannot be held in a graph: it keeps state.*split there"
    ):
        found = other.generate(EQUAL, max_new_tokens=10)
    assert found.tokens == expected.tokens
    assert set(called) == {"first", "last"}


class Unsure:
    """A sampler that knows nothing: garbage, and a flag in every row."""

    def refuses(self, chain: Any) -> str:
        return ""

    def sampling(self, chain: Any, rows: int, vocab: int, device: Any, **given: Any) -> Unsure:
        self.seen: list[Tensor] = []
        return self

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full((len(scores),), 7, device=scores.device), torch.ones(
            len(scores), device=scores.device
        )

    def observe(self, ids: Tensor) -> None:
        self.seen.append(ids)

    def stand(self, calls: int) -> None:
        pass


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["row generator", "compat hf"])
def test_what_a_sampler_is_unsure_of_is_decided_by_the_steps(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    plain, other = decoders(Steady(), PIPES[name], device, "input_pos")
    expected = plain.generate(EQUAL, max_new_tokens=10, seed=3)
    sampler = Unsure()
    monkeypatch.setattr(loop, "fusable", lambda steps, host: Fusable(0, (), 1.0, sampler))
    monkeypatch.setattr(loop.GraphedSteps, "_may_fuse", lambda self: True)
    found = other.generate(EQUAL, max_new_tokens=10, seed=3)
    assert found.tokens == expected.tokens
    decided = torch.cat(sampler.seen[1:], dim=1).tolist()  # the text first, then each decided token
    told = [[token for token in row if token >= 0] for row in decided]
    assert told == [row[1:] for row in found.tokens]
    assert found.fallbacks == sum(map(len, told))


class Torn(Unsure):
    """The steps' own draw, unsure of every fifth token, of which it tells another."""

    def sampling(self, chain: Any, rows: int, vocab: int, device: Any, **given: Any) -> Torn:
        self.rng = given["rng"]
        return self

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.rng.categorical(scores)
        unsure = tokens % 5 == 1
        return torch.where(unsure, 2, tokens), unsure

    def observe(self, ids: Tensor) -> None:
        pass


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["hf", "input_pos"])
def test_a_step_that_was_launched_ahead_stands_still_behind_a_row_in_doubt(
    kind: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model: Any = llama() if kind == "hf" else Steady()
    adapter: Any = {"name": "hf", "cache": "static"} if kind == "hf" else "input_pos"
    plain, other = decoders(model, CHAIN.stop("stop_token_ids", [9]), device, adapter)
    monkeypatch.setattr(
        loop, "fusable", lambda steps, host: Fusable(len(steps), (), 1.0, Torn()) if steps else None
    )
    monkeypatch.setattr(loop.GraphedSteps, "_may_fuse", lambda self: True)
    monkeypatch.setattr(loop, "CALM", 1)
    ahead = []
    settled = loop.GraphedSteps._settled
    monkeypatch.setattr(
        loop.GraphedSteps,
        "_settled",
        lambda self, told: (ahead.append(len(self._flights)), settled(self, told))[1],
    )
    for seed in range(6):
        expected = plain.generate(EQUAL, max_new_tokens=30, seed=seed)
        found = other.generate(EQUAL, max_new_tokens=30, seed=seed)
        assert found.tokens == expected.tokens
        assert found.finish_reasons == expected.finish_reasons
    assert 1 in ahead


@pytest.mark.parametrize("device", DEVICES)
def test_the_device_knows_the_ends_and_steps_are_launched_ahead(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    pipe = CHAIN.stop("stop_token_ids", [9, 11]).stop("max_length", 14)
    plain, other = decoders(Steady(), pipe, device, "input_pos")
    ahead = []
    land = loop.Flights.land
    monkeypatch.setattr(loop.Flights, "land", lambda self: (ahead.append(len(self)), land(self))[1])
    rests = at_rest(monkeypatch)
    reasons: set[str] = set()
    for seed in range(12):
        expected = plain.generate(EQUAL, max_new_tokens=9, seed=seed)
        found = other.generate(EQUAL, max_new_tokens=9, seed=seed)
        assert found.tokens == expected.tokens
        assert found.finish_reasons == expected.finish_reasons
        reasons.update(found.finish_reasons)
    assert reasons == {"stop_token_ids", "length"}
    assert ahead.count(2) > 2 * ahead.count(1)
    assert rests
    assert all(there == here and not any(growing) for there, here, growing in rests)


def at_rest(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], list[int], list[bool]]]:
    """Filled by each run at its end: the rows' lengths as the device and as the host has them, and who grows."""
    rests: list[tuple[list[int], list[int], list[bool]]] = []
    rest = loop.GraphedSteps._come_to_rest

    def seen(self: Any) -> None:
        rest(self)
        history = self._history
        rests.append((history.lengths.tolist(), list(history.host_lengths), self._standing.growing.tolist()))

    monkeypatch.setattr(loop.GraphedSteps, "_come_to_rest", seen)
    return rests


@pytest.mark.parametrize("device", DEVICES)
def test_a_stream_that_is_closed_leaves_nothing_ahead(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    _, other = decoders(Steady(), Pipeline().with_strategy("sample", seed=1), device, "input_pos")
    rests = at_rest(monkeypatch)
    stream = other.stream(EQUAL, max_new_tokens=20)
    for _, _ in zip(range(9), stream, strict=False):
        pass
    stream.close()
    assert rests
    assert all(there == here for there, here, _ in rests)


class Bans:
    """Everything is banned in the second row once it has 7 tokens."""

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        second = torch.arange(len(scores), device=scores.device) == 1
        return scores.masked_fill((second & (lengths >= 7)).unsqueeze(1), -torch.inf)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("policy", ["error", "stop_row"])
def test_a_bad_row_is_named_or_ends_alone(policy: Any, device: str) -> None:
    torch.manual_seed(0)
    traits = frozenset({"stateless", "ragged", "reads_history", "compilable"})
    host = isolated_host(StepSpec(name="bans", role="processor", factory=Bans, traits=traits))
    pipe = Pipeline(host=host).add("bans").add("temperature", 0.7).with_strategy("sample", seed=1)
    pipe = pipe.with_options(on_bad_row=policy)
    plain, other = decoders(Steady(), pipe, device, "input_pos")
    if policy == "error":
        with pytest.raises(BadRow, match="row 1, step 4: every token is banned after"):
            other.generate(EQUAL, max_new_tokens=10)
        return
    expected = plain.generate(EQUAL, max_new_tokens=10)
    found = other.generate(EQUAL, max_new_tokens=10)
    assert found.finish_reasons == expected.finish_reasons == ["length", "error"]
    assert found.tokens == expected.tokens


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_without_a_limit_outgrows_the_history_and_goes_on(device: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("decodery.engine.buffers.history._FIRST", 6)
    torch.manual_seed(0)
    plain, other = decoders(Steady(), Pipeline().stop("stop_token_ids", [5]), device, "input_pos")
    assert other.generate([[1, 2, 3]]).tokens == plain.generate([[1, 2, 3]]).tokens


@pytest.mark.slow  # a C++ compiler runs
def test_full_compiles_the_forward_and_keeps_the_tokens() -> None:
    torch.manual_seed(0)
    model = Steady()
    facts: dict[str, Any] = {"vocab_size": VOCAB, "eos_token_id": 5}
    expected = Decoder(model, CHAIN, **facts).generate(EQUAL, max_new_tokens=8)
    compiled = Decoder(model, CHAIN, compile="full", **facts)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert compiled.generate(EQUAL, max_new_tokens=8).tokens == expected.tokens
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before


def test_what_cannot_be_had_is_said() -> None:
    model = Steady()
    with pytest.raises(InvalidInput, match="compile='graph' is for CUDA devices, and the model is on cpu"):
        Decoder(model, vocab_size=VOCAB, compile="graph")
    with pytest.raises(InvalidInput, match="compile = 'fast'"):
        Decoder(model, vocab_size=VOCAB, compile="fast")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"wants a cache that stays in place.*'stateless'"):
        Decoder(lambda x: torch.zeros(*x.shape, VOCAB), vocab_size=VOCAB, compile="full")


def test_no_graph_no_warning() -> None:
    plain, _ = decoders(Steady(), CHAIN, "cpu", "input_pos")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain.generate(EQUAL, max_new_tokens=3)


def test_a_kind_of_step_is_warmed_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed = []

    class Seen(loop.Captured):
        def __init__(self, body: Any, device: Any, generators: Any = (), warm: int = loop.WARM) -> None:
            super().__init__(body, device, generators, warm)
            if body.__name__ == "step":
                warmed.append(warm)

    monkeypatch.setattr(loop, "Captured", Seen)
    _, other = decoders(Steady(), CHAIN, "cpu", "input_pos")
    for count, prompts in ((9, EQUAL), (9, EQUAL), (10, EQUAL), (9, EQUAL[:1]), (9, EQUAL)):
        other.generate(prompts, max_new_tokens=count, seed=1)
    with torch.inference_mode():  # a forward would be compiled for it anew
        other.generate(EQUAL, max_new_tokens=9, seed=1)
    assert warmed == [loop.WARM, 0, loop.WARM, loop.WARM, 0, loop.WARM]
