"""Draws: what the reference means, and that its odds are the scores' own."""

from __future__ import annotations

import pytest
import torch

from decodery.kernels.draw import bad_rows, inverse_cdf, multinomial
from decodery.testing import chi_square, draws


def test_the_token_is_the_first_whose_cumulative_weight_exceeds_u_times_total() -> None:
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log().expand(6, -1)
    u = torch.tensor([0.0, 0.0999, 0.1001, 0.2999, 0.6001, 1 - 2**-53], dtype=torch.float64)
    assert inverse_cdf(scores, u).tolist() == [0, 0, 1, 1, 3, 3]


def test_a_banned_token_is_never_drawn_not_even_at_the_ends() -> None:
    inf = float("-inf")
    scores = torch.tensor([[inf, 0.0, inf, 1.0, inf]]).expand(3, -1)
    u = torch.tensor([0.0, 0.2689414213699951, 1 - 2**-53], dtype=torch.float64)
    assert set(inverse_cdf(scores, u).tolist()) <= {1, 3}
    many = torch.rand(50_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert draws(scores[0], many)[[0, 2, 4]].sum() == 0


def test_extreme_scores_do_not_overflow() -> None:
    scores = torch.tensor([[3e38, 3e38, -3e38], [-3e38, -3e38, -3.0]])
    assert inverse_cdf(scores, torch.tensor([0.75, 0.1], dtype=torch.float64)).tolist() == [1, 2]


def test_the_hf_draw_is_torch_multinomial_and_leaves_the_generator_as_it_would() -> None:
    scores = torch.randn(4, 50)
    torch.manual_seed(3)
    expected, after = torch.multinomial(scores.softmax(-1), 1).squeeze(1), torch.get_rng_state()
    torch.manual_seed(3)
    assert torch.equal(multinomial(scores), expected)
    assert torch.equal(torch.get_rng_state(), after)
    assert torch.equal(multinomial(scores, torch.Generator().manual_seed(3)), expected)


@pytest.mark.parametrize(
    ("row", "bad"),
    [
        ([0.0, 1.0], False),
        ([0.0, float("-inf")], False),
        ([float("-inf")] * 2, True),
        ([float("nan"), 0.0], True),
        ([0.0, float("nan")], True),
        ([float("inf"), 0.0], True),
        ([float("nan")] * 2, True),
    ],
)
def test_bad_rows_are_flagged(row: list[float], bad: bool) -> None:
    assert bad_rows(torch.tensor([row, [0.0, 0.0]])).tolist() == [bad, False]


def test_the_chi_square_catches_a_sampler_that_draws_the_top_token_five_points_too_often() -> None:
    scores = torch.randn(40, generator=torch.Generator().manual_seed(5))
    u = torch.rand(50_000, dtype=torch.float64, generator=torch.Generator().manual_seed(6))

    def greedier(many: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        honest, top = inverse_cdf(many, numbers), many.argmax(-1)
        lucky = torch.rand(len(many), generator=torch.Generator().manual_seed(7)) < 0.05
        return torch.where(lucky, top, honest)

    assert chi_square(draws(scores, u), scores.double().softmax(-1)) > 1e-6
    assert chi_square(draws(scores, u, greedier), scores.double().softmax(-1)) < 1e-6


def test_the_chi_square_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    counts = torch.tensor([105.0, 98, 210, 87])
    expected = torch.tensor([0.2, 0.2, 0.4, 0.2], dtype=torch.float64)
    p = stats.chisquare(counts.numpy(), (expected * counts.sum()).numpy()).pvalue
    assert chi_square(counts, expected) == pytest.approx(float(p), rel=1e-9)
    assert chi_square(torch.tensor([5.0, 1.0]), torch.tensor([1.0, 0.0])) == 0.0
