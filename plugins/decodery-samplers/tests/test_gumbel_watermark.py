"""The Gumbel watermark and its detector: splitmix64, Aaronson's sum, the tail of a Gamma distribution."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.testing import TableModel, UniformModel, chi_square
from decodery_samplers.choosing.gumbel_watermark import (
    context_hash,
    detect_gumbel_watermark,
    token_uniforms,
    watermarked,
)


def splitmix(bits: int) -> int:
    mask = (1 << 64) - 1
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & mask
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & mask
    return bits ^ bits >> 31


def test_the_numbers_are_splitmix64s() -> None:
    # Steele, Lea, Flood: the first outputs of seed 0 are splitmix(golden), splitmix(2 golden) ...
    golden = 0x9E3779B97F4A7C15
    assert splitmix(golden) == 0xE220A8397B1DCDAF
    u = token_uniforms(torch.zeros(1, 1, dtype=torch.int64), torch.arange(5))[0].tolist()
    assert u == [((splitmix(golden * (t + 1) & (1 << 64) - 1) >> 11) + 0.5) * 2.0**-53 for t in range(5)]


def test_a_watermarked_draw_is_a_draw() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0, -math.inf, 0.5])
    hashes = torch.tensor([context_hash(5, (n,)) - (1 << 63) for n in range(20_000)])
    counts = torch.bincount(watermarked(scores.expand(20_000, -1), hashes), minlength=6)
    assert chi_square(counts, scores.softmax(-1)) > 1e-6


def test_a_watermark_is_detected_with_its_key_alone() -> None:
    model = TableModel(500, scale=1.0)
    pipe = Pipeline().with_strategy("gumbel_watermark", key=42).stop("max_new_tokens", 120)
    rows = Decoder(model, pipe).generate([[1], [2], [3]], n=2, seed=1).tokens
    assert all(each.p < 1e-9 for each in detect_gumbel_watermark(rows, key=42))
    excerpts = [row[50:] for row in rows]
    assert all(each.p < 1e-4 for each in detect_gumbel_watermark(excerpts, key=42))
    assert all(each.p > 1e-4 for each in detect_gumbel_watermark(rows, key=41))
    assert len({tuple(row) for row in rows}) == 6  # samples of one prompt are different texts


def test_without_a_watermark_p_values_are_uniform() -> None:
    generator = torch.Generator().manual_seed(2)
    texts = torch.randint(0, 1000, (400, 60), generator=generator)
    values = torch.tensor([each.p for each in detect_gumbel_watermark(texts, key=7)])
    assert chi_square(torch.histc(values, 10, 0, 1), torch.full((10,), 0.1)) > 1e-6


def test_the_evidence_is_the_formulas_and_p_the_tail_of_gamma() -> None:
    """Aaronson (2022): the sum of -ln(1 - u) over the tokens of new contexts, here by plain Python."""
    texts = torch.randint(0, 6, (5, 40), generator=torch.Generator().manual_seed(4)).tolist()
    for text, found in zip(texts, detect_gumbel_watermark(texts, key=9, context=2), strict=True):
        first = dict(reversed([(tuple(text[at - 2 : at]), text[at]) for at in range(2, 40)]))
        bits = [
            splitmix(context_hash(9, pair) + 0x9E3779B97F4A7C15 * (t + 1) & (1 << 64) - 1)
            for pair, t in first.items()
        ]
        total = math.fsum(-math.log1p(-((each >> 11) + 0.5) * 2.0**-53) for each in bits)
        assert found.scored == len(first) < 38
        assert found.score * found.scored == pytest.approx(total, rel=1e-12)
        assert found.p == pytest.approx(stats.gamma.sf(total, len(first)), rel=1e-7)
        assert found.z == pytest.approx((total - len(first)) / math.sqrt(len(first)), rel=1e-9)


def test_a_repeated_context_is_drawn_anew_and_counted_once() -> None:
    """Otherwise a loop once begun would never end, and would count as evidence every time round."""
    assert detect_gumbel_watermark([[1, 2] * 50], key=3, context=1)[0].scored == 2
    pipe = Pipeline().with_strategy("gumbel_watermark", key=1, context=1).stop("max_new_tokens", 200)
    row = Decoder(UniformModel(3), pipe).generate([[0]], seed=1).tokens[0]
    following = {token: {b for a, b in itertools.pairwise(row) if a == token} for token in range(3)}
    assert all(len(after) == 3 for after in following.values())


def test_texts_without_a_whole_context_say_nothing_and_a_context_of_none_is_refused() -> None:
    found = detect_gumbel_watermark([[], [1, 2, 3, 4], [1, 2, 3, 4, 5]], key=7)
    assert [(each.scored, each.p < 1) for each in found] == [(0, False), (0, False), (1, True)]
    with pytest.raises(InvalidInput, match="context = 0"):
        detect_gumbel_watermark([[1]], key=7, context=0)
