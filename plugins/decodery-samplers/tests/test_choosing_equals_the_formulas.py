"""Mirostat, adaptive-p and banned phrases: float64 references, replays, statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sampler_rows import best_first, kept, softmax, thousand_rows
from test_texts_are_bound_to_tokens import Pieces

from decodery import Decoder, Pipeline
from decodery.contracts.errors import BadRow, CannotFollow
from decodery.testing import ScriptedModel, TableModel, UniformModel
from decodery_samplers.choosing.adaptive_p import AdaptiveP, near_target
from decodery_samplers.choosing.banned_phrases import first_token_of, is_open
from decodery_samplers.choosing.mirostat import Mirostat, top_k_of, truncated, zipf_exponent

inf = math.inf
EVERYONE = torch.ones(1, dtype=torch.bool)


class First:
    """The random numbers of a run in which every draw is the least likely token that is left."""

    def uniform(self, purpose: str = "draw", ahead: int = 0) -> torch.Tensor:
        raise AssertionError("mirostat draws by categorical alone")

    def categorical(self, scores: torch.Tensor, purpose: str = "draw", ahead: int = 0) -> torch.Tensor:
        return scores.masked_fill(scores.isneginf(), inf).argmin(-1)


# -- mirostat -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mu", [0.5, 3.0, 10.0])
def test_mirostat_2_keeps_what_surprises_by_mu_bits_at_most(mu: float) -> None:
    for rows in thousand_rows():
        answer = truncated(rows, torch.full((len(rows),), mu, dtype=torch.float64), 2, 100)
        for row, left in zip(rows.double().numpy(), answer.double().numpy(), strict=True):
            log_p = row - row.max() - np.log(np.exp(row - row.max()).sum())
            np.testing.assert_array_equal(left, kept(row, (-log_p / np.log(2) <= mu) & np.isfinite(row)))


def version_1(row: np.ndarray, mu: float, m: int) -> int:
    """k of the paper's algorithm 1, in exact steps; clamped to 1 ... V."""
    ordered = np.sort(row[np.isfinite(row)])[::-1][:m]
    t = [math.log((i + 2) / (i + 1)) for i in range(len(ordered) - 1)]
    b = [ordered[i] - ordered[i + 1] for i in range(len(ordered) - 1)]
    s = sum(x * y for x, y in zip(t, b, strict=True)) / sum(x * x for x in t) if t else 0.0
    size, rest = len(row), s - 1
    if size == 1:
        return 1
    factor = 1 / math.log(size) if abs(rest) < 1e-9 else rest / -math.expm1(max(-rest * math.log(size), -700))
    if s == 0:
        return size if factor * 2**mu >= 1 else 1
    power = (math.log(factor) + mu * math.log(2)) / s
    return min(max(int(math.exp(min(power, 50)) + 1e-9), 1), size)


@pytest.mark.parametrize("mu", [0.5, 3.0, 10.0])
def test_mirostat_1_is_a_top_k_of_the_papers_k(mu: float) -> None:
    for rows in thousand_rows():
        bound = torch.full((len(rows),), mu, dtype=torch.float64)
        answer = truncated(rows, bound, 1, 10)
        for row, left in zip(rows.double().numpy(), answer.double().numpy(), strict=True):
            keep = np.zeros(len(row), dtype=bool)
            keep[best_first(row)[: version_1(row, mu, 10)]] = True
            np.testing.assert_array_equal(left, kept(row, keep & np.isfinite(row)))


def test_a_flat_row_has_a_k_between_1_and_v() -> None:
    """In llama.cpp the power of a flat row overflows an int."""
    flat = torch.zeros(2, 50)
    assert zipf_exponent(flat, 100).tolist() == [0.0, 0.0]
    assert top_k_of(torch.tensor([10.0, 0.5]), torch.zeros(2, dtype=torch.float64), 50).tolist() == [50, 1]


def test_zipf_exponent_is_the_slope_of_a_power_law() -> None:
    law = -1.7 * torch.arange(1, 500, dtype=torch.float64).log()
    assert zipf_exponent(law[None], 100).item() == pytest.approx(1.7)


def test_mu_moves_by_the_surprise_among_what_was_left() -> None:
    scores = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64).log()
    strategy = Mirostat(tau=1.0, eta=0.5)  # mu = 2: the last two surprise by 3 bits and go
    assert strategy.choose(scores, First()).tolist() == [1]
    strategy.observe(torch.tensor([1]), EVERYONE)
    # 0.25 of 0.75 is left: log2 3 bits. mu = 2 - 0.5 (1.585 - 1) = 1.7075, so token 1 goes too.
    assert strategy.truncate(scores).isfinite().tolist() == [[True, False, False, False]]


def test_mirostat_holds_the_surprise_of_a_text() -> None:
    pipe = Pipeline().with_strategy("mirostat", tau=3.0).stop("max_new_tokens", 400)
    row = Decoder(TableModel(200, scale=1.0), pipe).generate([[1]], seed=5, return_scores=True)
    mu, bits = 6.0, []
    for scores, token in zip(row.scores[0].double().numpy(), row.tokens[0], strict=True):
        surprise = -np.log2(softmax(scores))
        left = np.where((surprise <= mu) | (surprise == surprise.min()), scores, -inf)
        bits.append(-math.log2(softmax(left)[token]))
        mu -= 0.1 * (bits[-1] - 3.0)
    assert np.mean(bits) == pytest.approx(3.0, abs=0.15)


def rows_of(step: str, strategy: str, **params: object) -> None:
    """A row alone, in a batch and after a stranger draws the same; so do step and strategy as such."""
    model, prompts = TableModel(60, scale=1.5), [[1], [2, 3], [4, 5, 6]]
    pipes = [
        Pipeline().with_strategy(strategy, **params).stop("max_new_tokens", 30),
        Pipeline().add(step, **params).with_strategy("sample").stop("max_new_tokens", 30),
    ]
    for pipe in pipes:
        decoder = Decoder(model, pipe)
        together = decoder.generate(prompts, seed=3).tokens
        alone = [decoder.generate([prompt], seed=3).tokens[0] for prompt in prompts]
        assert together == alone
        assert len({tuple(row) for row in together}) == 3


def test_the_state_of_a_row_is_its_own() -> None:
    """State of row 0 for all, a mu of the whole process: others' rows then depend on who came before."""
    rows_of("mirostat", "mirostat", tau=2.0, eta=0.7)
    rows_of("mirostat", "mirostat", version=1, tau=2.0, eta=0.7)
    rows_of("adaptive_p", "adaptive_p", target=0.2)


def test_one_pipeline_with_mirostat_switches_nothing_off_in_another() -> None:
    model = TableModel(60, scale=1.5)
    plain = Decoder(model, Pipeline().add("top_k", 2).with_strategy("sample").stop("max_new_tokens", 20))
    before = plain.generate([[1]], seed=1).tokens
    Decoder(model, Pipeline().with_strategy("mirostat").stop("max_new_tokens", 20)).generate([[1]], seed=1)
    assert plain.generate([[1]], seed=1).tokens == before


# -- adaptive-p ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0.0, 0.3, 0.9])
def test_near_target_is_llama_cpps_curve(target: float) -> None:
    for rows in thousand_rows():
        answer = near_target(rows, torch.full((len(rows),), target, dtype=torch.float64))
        for row, found in zip(rows.double().numpy(), answer.numpy(), strict=True):
            distance = np.abs(softmax(row) - target) / 0.3
            wanted = np.where(np.isfinite(row), 5 - 10 * distance**2 / (1 + distance), -inf)
            np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_the_target_moves_against_the_mean_so_far() -> None:
    scores = torch.tensor([[0.6, 0.3, 0.1]], dtype=torch.float64).log()
    strategy = AdaptiveP(target=0.3, decay=0.5)  # sums 0.6 and 2: the mean is the target
    assert near_target(scores, torch.tensor([0.3], dtype=torch.float64)).argmax() == 1
    assert strategy.choose(scores, First()).tolist() == [0]  # the farthest of the three
    strategy.observe(torch.tensor([0]), EVERYONE)
    # 0.6 + 0.5 * 0.6 = 0.9 of 1 + 0.5 * 2 = 2: the mean is 0.45, the target 0.6 - 0.45 = 0.15.
    strategy.choose(scores, First())
    wanted = near_target(scores, torch.tensor([0.15], dtype=torch.float64))
    weighted, weight = strategy._sums.current(1, scores.device)[0].tolist()
    assert (weighted, weight) == pytest.approx((0.9, 2.0))
    assert wanted.argmax() == 2


@pytest.mark.parametrize("name", ["mirostat", "adaptive_p"])
def test_tokens_that_are_taken_back_leave_no_trace_in_a_strategy(name: str) -> None:
    def make() -> Mirostat | AdaptiveP:
        return Mirostat(tau=1.5, eta=0.5) if name == "mirostat" else AdaptiveP(target=0.2)

    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 3, 20, generator=generator)
    straight, detour = make(), make()
    for step in range(6):
        tokens = straight.choose(scores[step], First())
        straight.observe(tokens, torch.ones(3, dtype=torch.bool))
        for other in (torch.tensor([1, 2, 3]), torch.tensor([0, 0, 0])) if step == 3 else ():
            detour.choose(scores[5], First())
            detour.observe(other, torch.tensor([True, False, True]))
        if step == 3:
            detour.rewind(torch.tensor([2, 0, 2]))
        assert torch.equal(detour.choose(scores[step], First()), tokens)
        detour.observe(tokens, torch.ones(3, dtype=torch.bool))
    straight.select(torch.tensor([2, 0, 0]))
    detour.select(torch.tensor([2, 0, 0]))
    assert torch.equal(straight.choose(scores[0], First()), detour.choose(scores[0], First()))


def test_a_bound_pipeline_tells_a_strategy_of_its_tokens() -> None:
    model = TableModel(60, scale=1.5)
    pipe = Pipeline().with_strategy("mirostat", tau=1.0, eta=0.9).stop("max_new_tokens", 12)
    wanted = Decoder(model, pipe).generate([[1, 2]], seed=9).tokens[0]
    x = torch.tensor([[1, 2]])
    bound = pipe.bind(prompt=x, seed=9)
    for _ in range(12):
        x = torch.cat((x, bound.pick(x, model(x)[:, -1])[:, None]), dim=1)
    assert x[0, 2:].tolist() == wanted


# -- banned phrases -----------------------------------------------------------------------------------------

LETTERS = Pieces("a", "b", "c", "ab", "bc", " ", "d")


def phrases(texts: Sequence[str], model: object = None, **options: object) -> list[str]:
    pipe = Pipeline().with_strategy("banned_phrases", phrases=texts, **options).stop("max_new_tokens", 60)
    decoder = Decoder(model or UniformModel(7), pipe, tokenizer=LETTERS)
    return list(decoder.generate([[5], [6, 5], [5, 5, 6]], n=4, seed=8).texts)


def test_a_banned_phrase_never_appears_in_any_tokens() -> None:
    texts = ["abc", "cab d", "dd"]
    assert sum(row.count(one) for row in phrases(["zzz"]) for one in texts) > 20
    assert sum(row.count(one) for row in phrases(texts) for one in texts) == 0
    assert (
        sum(row.count(one.lower()) for row in phrases(["ABC", "DD"], ignore_case=True) for one in texts[::2])
        == 0
    )


def test_other_rows_are_as_they_would_be_without_the_one_that_was_taken_back() -> None:
    pipe = Pipeline().with_strategy("banned_phrases", phrases=["abc", "dd"]).stop("max_new_tokens", 40)
    decoder = Decoder(TableModel(7, scale=1.0), pipe, tokenizer=LETTERS)
    prompts = [[5], [6, 5], [5, 5, 6]]
    together = decoder.generate(prompts, seed=8).tokens
    assert together == [decoder.generate([prompt], seed=8).tokens[0] for prompt in prompts]


def test_steps_follow_what_is_taken_back() -> None:
    """DRY and a penalty read the text that stays: a replay of it meets the same scores."""
    pipe = (
        Pipeline()
        .add("dry", 0.8, allowed_length=1, breakers=[])
        .add("frequency_penalty", 0.3)
        .with_strategy("banned_phrases", phrases=["ab", "dd", "cc"])
        .stop("max_new_tokens", 40)
    )
    model = TableModel(7, scale=1.0)
    result = Decoder(model, pipe, tokenizer=LETTERS).generate([[5]], seed=4, return_scores=True)
    x = torch.tensor([[5]])
    bound = pipe.with_strategy("greedy").bind(prompt=x)
    for place, token in enumerate(result.tokens[0]):
        torch.testing.assert_close(bound(x, model(x)[:, -1])[0], result.scores[0][place])
        x = torch.cat((x, torch.tensor([[token]])), dim=1)


def test_greedy_takes_the_next_best_way() -> None:
    script = torch.tensor([[0.0, 0, 0, 0, 0, 0, 0], [3.0, 2, 1, 0, 0, 0, 0], [1.0, 3, 2, 0, 0, 0, 0]])
    pipe = Pipeline().with_strategy("banned_phrases", phrases=["ab"], draw=False).stop("max_new_tokens", 2)
    decoder = Decoder(ScriptedModel(script), pipe, tokenizer=LETTERS)
    # "ab" is taken back and "a" banned at its place: "b", and then "b" again.
    assert decoder.generate([[5, 5]]).texts[0] == "bb"


def test_a_stream_shows_only_what_stays() -> None:
    pipe = Pipeline().with_strategy("banned_phrases", phrases=["abc", "dd"]).stop("max_new_tokens", 60)
    decoder = Decoder(UniformModel(7), pipe, tokenizer=LETTERS)
    with decoder.stream([[5]], seed=3) as stream:
        shown = "".join(event.text for event in stream)
    assert shown == stream.result.texts[0] == decoder.generate([[5]], seed=3).texts[0]


def test_where_nothing_is_left_the_row_is_named() -> None:
    pipe = (
        Pipeline()
        .with_strategy("banned_phrases", phrases=["a", "b", "c", " ", "d"])
        .stop("max_new_tokens", 5)
    )
    with pytest.raises(BadRow, match="banned_phrases"):
        Decoder(UniformModel(7), pipe, tokenizer=LETTERS).generate([[5]], seed=1)


def test_a_step_that_cannot_take_tokens_back_is_refused_at_once() -> None:
    class Counts:
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            return scores

    pipe = Pipeline().add(Counts()).with_strategy("banned_phrases", phrases=["zzz"]).stop("max_new_tokens", 2)
    with pytest.raises(CannotFollow, match="counts"):
        Decoder(UniformModel(7), pipe, tokenizer=LETTERS).generate([[5]], seed=1)


def test_where_a_phrase_begins_by_hand() -> None:
    assert first_token_of(["x", "ya", "b", "cz"], ["abc"]) == 1
    assert first_token_of(["abc", "x"], ["abc"]) is None  # it was complete before
    assert first_token_of(["a", "bc"], ["bc", "abc"]) == 0
    assert is_open("xya", ["abc"])
    assert not is_open("xyb", ["abc"])
