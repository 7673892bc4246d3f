"""The C++ kernels: every instruction set, both dtypes, threads, and torch's generator from outside."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from decodery import Pipeline
from decodery.contracts.errors import PluginError
from decodery.contracts.lowering import Map, Truncation
from decodery.kernels.edits import edit
from decodery.kernels.torch_backend import TorchBackend

native = pytest.importorskip("decodery_native.backend", reason="decodery-native was not built")
CHAINS: list[tuple[Any, ...]] = [
    (Map("temperature", 0.8), Truncation("k", 50), Truncation("mass", 0.95)),
    (Truncation("mass", 0.9),),
    (Truncation("ratio", 0.05), Map("renormalise")),
    (Truncation("floor", 1e-3, 3), Truncation("sigma", 1.5)),
    (Truncation("eta", 1e-3),),
    (Truncation("sigma", 2.0),),
    (Truncation("typical", 0.8, 2), Map("temperature", 1.5), Truncation("mass", 0.7)),
]


def rows(count: int, vocab: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.stack([torch.randperm(vocab, generator=generator) for _ in range(count)]) + 1.0
    return -1.6 * ranks.log() + 0.5 * torch.randn(count, vocab, generator=generator)


def sets() -> list[str]:
    """The instruction sets that this processor runs."""
    found = []
    for isa in ("plain", "avx2", "avx512"):
        try:
            native.NativeBackend(isa)._chain(CHAINS[1])
            found.append(isa)
        except ValueError:
            pass
    return found


@pytest.mark.parametrize("isa", sets())
@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: " ".join(part.kind for part in chain))
def test_every_instruction_set_draws_what_torch_draws(isa: str, chain: tuple[Any, ...]) -> None:
    compared = 0
    for vocab in (19, 1000, 4099, 32_000):
        ours, theirs = (
            drawn(backend, vocab, chain) for backend in (native.NativeBackend(isa), TorchBackend())
        )
        assert torch.equal(ours[-1], theirs[-1]), "the generator stands elsewhere"
        for (tokens, flags), (expected, doubts) in zip(ours[:2], theirs[:2], strict=True):
            trusted = (flags == 0) & ~doubts
            assert torch.equal(tokens[trusted], expected[trusted])
            compared += int(trusted.sum())
    assert compared > 20


def surveyed(isa: str, row: torch.Tensor, heat: float) -> tuple[bool, float, float, torch.Tensor]:
    """What one pass over a row says: whether it could, mass, moment, and the maxima of blocks of 64."""
    maxima = torch.empty((len(row) + 63) // 64)
    bf16 = row.dtype is torch.bfloat16
    done, mass, moment = native._native.survey(
        isa, row.data_ptr(), bf16, len(row), 1 / heat, maxima.data_ptr()
    )
    return done, mass, moment, maxima


def whole_row(vocab: int, kind: str) -> torch.Tensor:
    """(V,) float32: `late` has its best last and far above the begin, `early` the other way round."""
    row = rows(1, vocab, vocab)[0] * 1.5
    if kind == "late":
        row[-1] = 30
    elif kind == "early":
        row[3] = 30
    elif kind == "banned":
        row[torch.arange(vocab) % 3 > 0] = -torch.inf
    elif kind == "high":
        row += 1000
    return row


@pytest.mark.parametrize("isa", sorted({"avx2", "avx512"} & set(sets())))
@pytest.mark.parametrize("kind", ["plain", "late", "early", "banned", "high"])
def test_one_pass_sums_as_float64_does(isa: str, kind: str) -> None:
    for vocab in (1024, 1025, 4097, 32_003):
        for heat in (0.7, 1.0, 2.5):
            for row in (whole_row(vocab, kind), whole_row(vocab, kind).bfloat16()):
                done, mass, moment, maxima = surveyed(isa, row, heat)
                values = row.double()
                distance = (values - values.max()) / heat
                weights = distance.exp()
                expected = weights.sum().item()
                assert done
                assert mass == pytest.approx(expected, rel=1e-6)
                mean = (weights * distance.clamp(min=-700)).sum().item() / expected
                assert moment / mass == pytest.approx(mean, rel=1e-5, abs=1e-5)
                blocks = torch.nn.functional.pad(row.float(), (0, -vocab % 64), value=-torch.inf).view(-1, 64)
                assert torch.equal(maxima, blocks.amax(-1))  # (V,) -> (N, 64) -> (N,)


@pytest.mark.parametrize("isa", sets())
def test_one_pass_leaves_what_is_out_of_its_reach_to_two(isa: str) -> None:
    steep = torch.linspace(-300, 0, 4096)
    odd, infinite, banned = (torch.zeros(4096) for _ in range(3))
    odd[4000], infinite[4000], banned[:64] = torch.nan, torch.inf, -torch.inf
    for row in (steep, odd, infinite, banned, torch.full((4096,), 1e9), torch.zeros(500)):
        assert not surveyed(isa, row, 1.0)[0]


@pytest.mark.parametrize("isa", sets())
@pytest.mark.parametrize("name", ["floor", "eta", "mass", "typical"])
def test_rows_that_one_pass_cannot_sum_are_cut_all_the_same(isa: str, name: str) -> None:
    chain = (Truncation(name, 0.9 if name in ("mass", "typical") else 1e-4),)
    scores = torch.stack([torch.linspace(-300, 0, 4096), torch.linspace(-300, 0, 4096).roll(-64)])
    scores[1, :64] = -torch.inf
    uniform = torch.tensor([0.3, 0.8], dtype=torch.float64)
    backend = native.NativeBackend(isa)
    ours, flags = backend.draw_row(backend.truncate(scores, chain, 512), uniform)
    theirs, doubts = TorchBackend().draw_row(TorchBackend().truncate(scores, chain, 512), uniform)
    assert not flags.any()
    assert not doubts.any()
    assert torch.equal(ours, theirs)


ALL = Truncation("k", 2000)


@pytest.mark.parametrize("isa", sets())
@pytest.mark.parametrize("heat", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("floor", [(3e-4, 1), (1e-3, 1), (3e-2, 5)])
def test_a_floor_draws_the_same_whether_the_rows_mass_is_bounded_or_summed(
    isa: str, heat: float, floor: tuple[float, int]
) -> None:
    """Alone a floor has only bounds at first, before another cut the sum: the hotter, the further they are apart."""
    chain = (Map("temperature", heat), Truncation("floor", *floor))
    backend, found = native.NativeBackend(isa), []
    for vocab, seed in ((700, 1), (6001, 2), (6016, 3)):
        scores = rows(60, vocab, seed)
        scores[::7, 5:300] = -torch.inf
        scores[::9] *= 0.01  # flat: the bounds leave more than are worth looking at
        for steps in (chain, (*chain, ALL)):
            generator = torch.Generator().manual_seed(seed)
            tokens, flags = backend.draw_torch(backend.truncate(scores, steps, 512), vocab, generator)
            found.append((tokens, flags, generator.get_state()))
        (tokens, flags, end), (expected, doubts, at) = found[-2:]
        trusted = doubts == 0
        assert int(trusted.sum()) > 40
        assert not flags[trusted].any()
        assert torch.equal(tokens[trusted], expected[trusted])
        assert torch.equal(end, at)


def drawn(backend: Any, vocab: int, chain: tuple[Any, ...]) -> tuple[Any, Any, torch.Tensor]:
    """The row generator's draw, torch.multinomial's, and where its generator stands then."""
    scores = rows(5, vocab, vocab)
    uniform = torch.rand(5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(7)
    by_row = backend.draw_row(backend.truncate(scores, chain, 512), uniform)
    by_race = backend.draw_torch(backend.truncate(scores, chain, 512), vocab, generator)
    return by_row, by_race, generator.get_state()


@pytest.mark.parametrize("strategy", ["sample", "greedy"])
def test_bfloat16_rows_are_the_same_rows_in_float32(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODERY_KERNELS", "native")
    logits = rows(6, 5003, 1).bfloat16()
    ids = logits.float().topk(9).indices  # so that edits touch what is likely
    for steps in (
        (("repetition_penalty", 1.7), ("top_k", 40)),
        (("repetition_penalty", 1.7), ("top_p", 0.9)),
        (("top_k", 40), ("top_p", 0.9)),
        (("typical_p", 0.9),),
        (("min_p", 0.1), ("temperature", 2.0)),
    ):
        pipe = Pipeline().with_strategy(strategy, **({"seed": 4} if strategy == "sample" else {}))
        for name, value in steps:
            pipe = pipe.add(name, value)
        assert torch.equal(pipe.pick(ids, logits), pipe.pick(ids, logits.float()))


def test_threads_share_the_rows_and_change_nothing() -> None:
    scores, chain = rows(23, 3001, 2), CHAINS[0]
    uniform = torch.rand(23, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    backend, before = native.NativeBackend(), torch.get_num_threads()
    try:
        answers = []
        for threads in (1, 4):
            torch.set_num_threads(threads)
            answers.append(backend.draw_row(backend.truncate(scores, chain, 64), uniform)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*answers)


def test_a_row_without_a_best_token_is_flagged() -> None:
    scores = torch.zeros(4, 200)
    scores[0] = -torch.inf
    scores[1, 150] = torch.nan
    scores[2, 7] = torch.inf
    backend = native.NativeBackend()
    _, flags = backend.draw_row(
        backend.truncate(scores, CHAINS[0], 64), torch.full((4,), 0.5, dtype=torch.float64)
    )
    assert (flags[:3] == 1).all()
    assert torch.equal(backend.argmax(scores), scores.argmax(-1))


@pytest.mark.parametrize("mode", ["add", "set", "scale_by_sign"])
def test_edits_are_torchs_bit_for_bit(mode: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    for shape in ((3, 8), (1, 8)):
        for width in (1, 8):
            ids = torch.stack([torch.randperm(40, generator=generator)[:8] for _ in range(shape[0])]) - 4
            values = torch.rand(shape[0], width, generator=generator) + 0.5
            ours, theirs = (torch.randn(3, 30, generator=torch.Generator().manual_seed(9)) for _ in range(2))
            native.NativeBackend().edit(ours, ids, values, mode)
            edit(theirs, ids, values, mode)
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("vocab", [50, 4099])
@pytest.mark.parametrize("strategy", ["sample", "greedy"])
def test_edits_lie_beside_the_row_as_if_they_were_in_it(
    vocab: int, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few and many, over each other, up and down, the best among them."""
    for seed in range(30):
        logits = rows(3, vocab, seed)
        before = logits.clone()
        best = logits.topk(12).indices
        ids = torch.cat((best, best[:, :4]), dim=1)
        banned = best[0, seed % 3 : 6 : 2].tolist()
        biases = [[[token], -1.5] for token in best[1, :5].tolist()] + [[[seed % vocab], 9.0]]
        pipe = Pipeline().add("repetition_penalty", 1.4).add("suppress_tokens", banned)
        pipe = pipe.add("sequence_bias", pairs=biases)
        if seed % 2 and vocab > 1000:
            crowd = [t for t in range(0, vocab, 3) if t != best[2, 0]]
            pipe = pipe.add("suppress_tokens", crowd)
        if strategy == "sample":
            pipe = pipe.add("top_k", 20) if seed % 3 else pipe.add("top_p", 0.8)
        pipe = pipe.with_strategy(strategy, **({"seed": seed} if strategy == "sample" else {}))
        drawn = []
        for backend in ("reference", "native"):
            monkeypatch.setenv("DECODERY_KERNELS", backend)
            drawn.append(pipe.bind(ids, vocab_size=vocab, eos_token_id=0).pick(ids, logits))
        assert torch.equal(*drawn)
        assert torch.equal(logits, before)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize(
    "modes", [("set",), ("add",), ("scale_by_sign", "add"), ("set", "scale_by_sign", "set")]
)
def test_ids_that_occur_again_and_edits_over_each_other_are_those_of_a_copied_row(
    modes: tuple[Any, ...], greedy: bool
) -> None:
    """Few edits lie beside the row; the twin writes them into it. Most of the best are touched, several to a block."""
    chain = () if greedy else (Truncation("k", 30),)
    backend = native.NativeBackend()
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randn(2, 6007, generator=generator).sort(descending=True).values
        scores = scores.roll(seed * 37, 1)
        dense, touched = scores.clone(), []
        for mode in modes:
            near = torch.randint(0, 90, (2, 40), generator=generator) + seed * 37 - 4
            near[:, -3:] = torch.tensor([-1, 6007, 9000])
            prices = torch.rand(6100, generator=generator) + (-0.5 if mode == "add" else 0.5)
            values = torch.full((1, 1), -torch.inf) if mode == "set" else prices[near.clamp(0, 6099)]
            if mode == "add":  # an id occurs once
                near = torch.stack(
                    [torch.randperm(90, generator=generator)[:40] + seed * 37 for _ in range(2)]
                )
            touched.append((near, values))
            edit(dense, near, values, mode)
        once, plain = (backend.one_call(found, chain, greedy) for found in (modes, ()))
        if greedy:
            assert torch.equal(once.best(scores, touched)[0], dense.argmax(-1))
        else:
            ours, theirs = (torch.Generator().manual_seed(seed) for _ in range(2))
            assert torch.equal(once.torch(scores, touched, ours)[0], plain.torch(dense, (), theirs)[0])


@pytest.mark.parametrize("strategy", ["sample", "greedy"])
def test_every_answer_is_a_tensor_of_its_own(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are allocated ahead: none is handed out twice, and none knows in which mode it was asked for."""
    monkeypatch.setenv("DECODERY_KERNELS", "native")
    pipe = Pipeline().add("top_k", 5).with_strategy(strategy, **({"seed": 1} if strategy == "sample" else {}))
    one, two = rows(1, 300, 1), rows(2, 300, 2)
    bound = pipe.bind(torch.zeros(1, 3, dtype=torch.int64))
    pair = pipe.bind(torch.zeros(2, 3, dtype=torch.int64))
    given: list[torch.Tensor] = []
    for turn in range(40):
        with torch.inference_mode(turn % 3 == 0):
            given.append(bound.pick(torch.zeros(1, 3, dtype=torch.int64), one))
            given.append(pair.pick(torch.zeros(2, 3, dtype=torch.int64), two))
    assert len({tokens.untyped_storage().data_ptr() for tokens in given}) == len(given)
    assert not any(tokens.is_inference() for tokens in given)
    assert all(len(tokens) == 1 + place % 2 for place, tokens in enumerate(given))


def test_an_edit_of_other_numbers_is_refused() -> None:
    once = native.NativeBackend().one_call(["add"], CHAINS[0], False)
    ids, values = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.float64)
    with pytest.raises(PluginError, match="float64"):
        once.torch(rows(1, 200, 1), [(ids, values)], torch.Generator())


STRANGE = {
    "float64": lambda row: row.double(),
    "float16": lambda row: row.half(),
    "every other column": lambda row: row.repeat_interleave(2, dim=1)[:, ::2],
}


@pytest.mark.parametrize("kind", STRANGE)
def test_one_call_leaves_scores_that_it_does_not_take_alone(kind: str) -> None:
    scores, backend = STRANGE[kind](rows(2, 200, 1)), native.NativeBackend()
    generator = torch.Generator().manual_seed(1)
    begin = generator.get_state()
    counters = (*(torch.zeros(2, dtype=torch.int64) for _ in range(3)), 1)
    assert backend.one_call([], CHAINS[0], False).torch(scores, [], generator) is None
    assert backend.one_call([], CHAINS[0], False).row(scores, [], counters) is None
    assert backend.one_call([], (), True).best(scores, []) is None
    assert torch.equal(generator.get_state(), begin)


@pytest.mark.parametrize("kind", [*STRANGE, "rows apart", "one column"])
@pytest.mark.parametrize("strategy", ["sample", "greedy"])
def test_scores_of_another_make_are_picked_from_all_the_same(
    kind: str, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = {"seed": 1} if strategy == "sample" else {}
    pipe = Pipeline().add("top_k", 5).with_strategy(strategy, **seed)
    ids, plain = torch.zeros(2, 3, dtype=torch.int64), rows(2, 200, 1).half().float()
    given = {
        "rows apart": lambda row: torch.cat((row, row), 1)[:, :200],
        "one column": lambda row: row[:, :1],
    }
    tokens = []
    for backend in ("native", "reference"):
        monkeypatch.setenv("DECODERY_KERNELS", backend)
        tokens.append(pipe.bind(ids).pick(ids, {**STRANGE, **given}[kind](plain)))
    assert torch.equal(*tokens)


def test_what_it_cannot_run_it_says() -> None:
    backend = native.NativeBackend()
    assert "callable" in backend.refuses((Truncation("custom", keep=lambda log_probs: log_probs),))
    assert "each row" in backend.refuses((Map("temperature", torch.ones(2)), Truncation("k", 5)))
    assert "too wide" in backend.refuses((Truncation("k", 100_000),))
    assert backend.refuses((Map("temperature", 0.5),))
    assert native.why_not() == ""
