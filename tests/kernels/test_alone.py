"""A row alone is decided with numbers on the host, rows together with tensors: the same tokens, the same doubts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from decodery import Pipeline
from decodery.contracts.lowering import Map, Truncation
from decodery.engine.plan.fused import Fused
from decodery.engine.plan.one_row import OneRow
from decodery.engine.rng import TorchRng
from decodery.kernels import alone, identical
from decodery.kernels.backends import argmax
from decodery.kernels.torch_backend import TorchBackend

CHAINS: list[tuple[Any, ...]] = [
    (Map("temperature", 0.8), Truncation("k", 50), Truncation("mass", 0.95)),
    (Truncation("k", 3, 5), Truncation("mass", 0.1, 4)),
    (Truncation("k", 20), Truncation("ratio", 0.1), Map("temperature", 1.3), Truncation("mass", 0.7)),
    (Truncation("k", 40), Truncation("ratio", 0.4, 3)),
]


def rows(kind: str, seed: int, vocab: int = 4096) -> Tensor:
    """(1, V) float32."""
    made = torch.randn(1, vocab, generator=torch.Generator().manual_seed(seed)) * 3
    if kind == "tied":
        return made.round()
    if kind == "few":
        return made.masked_fill(torch.arange(vocab) % 200 != 7, -torch.inf)
    return made


def survivors(row: Tensor, chain: Any, window: int) -> alone.Few | None:
    """What `OneRow` makes of a row without edits."""
    found = alone.few(row, window)
    for part in chain:
        if found is not None and isinstance(part, Map):
            alone.scale(found, float(part.value))
        elif found is not None and not alone.cut(found, part):
            return None
    return found


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: " ".join(part.kind for part in chain))
@pytest.mark.parametrize("kind", ["plain", "tied", "few"])
@pytest.mark.parametrize("vocab", [300, 4096, 9001])
def test_a_row_alone_is_decided_as_with_others(chain: Any, kind: str, vocab: int) -> None:
    assert alone.can(chain)
    backend, decided = TorchBackend(), 0
    for seed in range(40):
        row = rows(kind, seed, vocab)
        uniform = torch.rand(1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for draw in ("row", "torch"):
            few = survivors(row, chain, 64)
            found = backend.truncate(row, chain, 64)
            if draw == "row":
                tokens, flags = backend.draw_row(found, uniform)
                token = None if few is None else alone.inverse_cdf(few, float(uniform))
            else:
                tokens, flags = backend.draw_torch(found, vocab, torch.Generator().manual_seed(seed))
                numbers = None
                if few is not None:
                    numbers = identical.uniforms_at(torch.Generator().manual_seed(seed), vocab, few.ids)
                token = None if few is None or numbers is None else alone.race(few, numbers)
            if token is not None:
                assert not flags[0], "one doubts what the other does not"
                assert token == int(tokens[0])
                decided += 1
    assert decided > (60 if kind == "plain" else -1), "most plain rows are decided"


@pytest.mark.parametrize("vocab", [2, 31, 1024, 1057, 32_000, 50_257])
def test_the_best_token_is_the_first_of_the_best(vocab: int) -> None:
    for seed in range(30):
        row = rows("tied" if seed % 2 else "plain", seed, vocab)
        if seed % 5 == 4:
            row[0, seed % vocab] = math.nan
        place = int(row.argmax())
        token, value = alone.best(row)
        assert token == place
        assert value == row[0, place] or math.isnan(value)
        assert argmax(row.repeat(3, 1)).tolist() == [place] * 3


def test_a_rows_uniforms_are_those_behind_its_exponentials() -> None:
    ids = torch.tensor([[5, 0, 699, 33]])
    ours, theirs = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    u = identical.uniforms_at(ours, 700, ids[0].tolist())
    q = identical.exponentials_at(theirs, 700, ids)
    assert torch.equal(-torch.log1p(-torch.tensor(u, dtype=torch.float64)).float(), q[0])
    assert torch.equal(ours.get_state(), theirs.get_state())
    assert torch.equal(
        q[0], torch.empty(700).exponential_(generator=torch.Generator().manual_seed(3))[ids[0]]
    )


def edited(kind: str, best: list[int], worst: list[int] | None = None) -> Pipeline:
    """Edits that touch the row's best tokens, or raise its worst among them."""
    pipe = Pipeline()
    if kind == "from below":
        return pipe.add("sequence_bias", [[[t], 20.0 + i / 7] for i, t in enumerate(worst or ())])
    if kind == "penalty":
        return pipe.add("repetition_penalty", 1.3)
    if kind == "reward":
        return pipe.add("repetition_penalty", 0.7)
    if kind == "suppress":
        return pipe.add("suppress_tokens", best[:2])
    if kind == "ends":
        return pipe.add("min_new_tokens", 30)
    if kind == "ngrams":
        return pipe.add("no_repeat_ngram", 1)
    if kind == "several":
        pipe = pipe.add("repetition_penalty", 1.1).add("suppress_tokens", best[1:3])
        return pipe.add("sequence_bias", [[[best[0]], -1.5], [[best[5]], -0.25]])
    sign = {"biases up": 1.0, "biases down": -1.0, "biases": 0.0}[kind]
    return pipe.add("sequence_bias", [[[t], (sign or (-1) ** i) * (0.1 + i / 5)] for i, t in enumerate(best)])


KINDS = [
    "penalty",
    "reward",
    "suppress",
    "ends",
    "ngrams",
    "several",
    "biases up",
    "biases down",
    "biases",
    "from below",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draw", ["greedy", "row", "hf"])
def test_edits_of_a_row_alone_are_the_steps_own(
    kind: str, draw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(25):
        row = rows("tied" if seed % 3 == 2 else "plain", seed, (400, 6000, 9001)[seed % 3])
        before = row.clone()
        best = row[0].topk(12).indices.tolist()
        chance = torch.Generator().manual_seed(seed)
        picked = torch.randint(0, 12, (1, 5), generator=chance)
        ids = torch.cat(
            (torch.tensor([best])[:, picked[0]], torch.randint(0, 400, (1, 20), generator=chance)), 1
        )
        pipe = edited(kind, best, row[0].topk(5, largest=False).indices.tolist())
        if draw != "greedy":
            pipe = pipe.add("temperature", 0.7).add("top_k", 30).add("top_p", 0.9)
            pipe = pipe.with_strategy("sample", seed=seed).compat("hf" if draw == "hf" else None)
        answers = []
        for kernels in ("reference", "torch"):
            monkeypatch.setenv("DECODERY_KERNELS", kernels)
            bound = pipe.bind(ids[:, :20], vocab_size=row.shape[1], eos_token_id=best[:2], seed=seed)
            tokens = []
            for width in (20, 21, 25):  # the caller's own tokens come in between
                tokens += bound.pick(ids[:, :width], row).tolist()
            answers.append(tokens)
        assert answers[0] == answers[1], seed
        assert torch.equal(row, before), "the caller's logits stay as they were"


@pytest.mark.parametrize("kind", ["penalty", "suppress", "ends", "several", "biases"])
def test_most_rows_need_no_copy(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[int] = []
    copied = Fused._edited
    monkeypatch.setattr(Fused, "_edited", lambda *given: copies.append(1) or copied(*given))
    monkeypatch.setenv("DECODERY_KERNELS", "torch")
    for greedy in (False, True):
        for seed in range(20):
            row = rows("plain", seed, 6000)
            others = row[0].topk(40).indices.tolist()[20:]
            pipe = edited(kind, others)
            if not greedy and kind != "biases":
                pipe = pipe.add("top_k", 30).with_strategy("sample", seed=seed)
            ids = torch.tensor([others])
            pipe.bind(ids, vocab_size=6000, eos_token_id=others[0]).pick(ids, row)
    assert len(copies) < 6


def test_a_row_that_nothing_can_be_drawn_from_is_left_to_the_steps() -> None:
    one = OneRow((), CHAINS[0], greedy=False)
    for bad in (math.nan, math.inf):
        row = rows("plain", 1)
        row[0, 4095] = bad
        assert one._survivors(None, row, 64) is None  # type: ignore[arg-type]
        assert OneRow((), (), greedy=True).best(None, row) is None  # type: ignore[arg-type]
    nothing = torch.full((1, 4096), -torch.inf)
    assert one._survivors(None, nothing, 64) is None  # type: ignore[arg-type]
    assert OneRow((), (), greedy=True).best(None, nothing) is None  # type: ignore[arg-type]


def test_a_doubtful_draw_leaves_the_generator_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    row, generator = rows("plain", 3), torch.Generator().manual_seed(8)
    before = generator.get_state()
    one, rng = OneRow((), CHAINS[0], greedy=False), TorchRng(1, torch.device("cpu"), generator)
    with monkeypatch.context() as patch:
        patch.setattr(alone, "race", lambda found, uniforms: None)
        assert one.drawn(None, row, 64, rng) is None  # type: ignore[arg-type]
    assert torch.equal(generator.get_state(), before)
    assert one.drawn(None, row, 64, rng) is not None  # type: ignore[arg-type]
    assert not torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(("kind", "value"), [("mass", 0.5), ("mass", 0.8), ("ratio", 0.6), ("ratio", 0.4)])
def test_a_cut_that_rounding_could_move_is_left_to_the_steps(kind: Any, value: float) -> None:
    probs = (0.5, 0.3, 0.2)
    for slack, decided in ((0.0, False), (1e-7, False), (-1e-7, False), (1e-3, True), (-1e-3, True)):
        found = alone.Few([math.log(p) for p in probs], [4, 5, 6], -math.inf)
        assert alone.cut(found, Truncation(kind, value + slack)) is decided
