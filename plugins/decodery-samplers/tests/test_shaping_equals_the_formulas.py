"""Each reshaping against a float64 reference written from its source, and against cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sampler_rows import assert_same_answers, best_first, softmax

from decodery_samplers.shaping.dynamic_temperature import COLDEST, DynamicTemperature, dynamic_temperature
from decodery_samplers.shaping.quadratic import quadratic
from decodery_samplers.shaping.skew import skew

inf = math.inf
IDS = torch.tensor([[0]])


@pytest.mark.parametrize(
    ("temperature", "spread", "exponent"), [(1.0, 0.5, 1.0), (0.7, 2.0, 0.5), (1.5, 1.0, 3.0)]
)
def test_dynamic_temperature_is_the_formula(temperature: float, spread: float, exponent: float) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        p = softmax(row)
        positive = p[p > 0]
        n = int(np.isfinite(row).sum())
        share = -(positive * np.log(positive)).sum() / math.log(n) if n > 1 else 0.0
        low, high = max(0.0, temperature - spread), temperature + spread
        with np.errstate(over="ignore"):
            heat = max(low + (high - low) * max(share, 0.0) ** exponent, COLDEST)
        return row / heat

    assert_same_answers(
        lambda rows: dynamic_temperature(rows, temperature, spread, exponent), reference, exact=False
    )


def test_dynamic_temperature_by_hand() -> None:
    even = torch.tensor([[1.0, 1.0, 1.0, 1.0, -inf]])
    # Four tokens of the same probability: entropy ln 4 of ln 4, so the highest temperature, 1.5.
    assert dynamic_temperature(even, 1.0, 0.5)[0, :4].tolist() == pytest.approx([1 / 1.5] * 4)
    sure = torch.tensor([[5.0, -inf, -inf]])
    assert dynamic_temperature(sure, 1.0, 0.5)[0, 0] == 10.0  # the lowest, 0.5
    # p = (1/2, 1/4, 1/4): entropy 1.5 ln 2 of ln 3, 0.9464; T = 0.5 + 0.9464.
    halves = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()
    share = 1.5 * math.log(2) / math.log(3)
    torch.testing.assert_close(dynamic_temperature(halves, 1.0, 0.5), halves / (0.5 + share))


def test_dynamic_temperature_without_a_range_is_a_temperature() -> None:
    scores = torch.tensor([[1.0, 2.0, -inf]])
    assert DynamicTemperature(temperature=0.5)(IDS, scores).tolist() == [[2.0, 4.0, -inf]]


def test_the_entropy_is_the_rows_own() -> None:
    """text-generation-webui's took one entropy for the batch."""
    rows = torch.tensor([[5.0, 0.0, -3.0], [0.1, 0.0, -0.1]])
    together = dynamic_temperature(rows, 1.0, 0.8)
    alone = torch.cat([dynamic_temperature(row[None], 1.0, 0.8) for row in rows])
    assert torch.equal(together, alone)


@pytest.mark.parametrize(("factor", "curve"), [(0.3, 1.0), (0.05, 2.0), (2.0, 4.5)])
def test_quadratic_is_the_formula(factor: float, curve: float) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        best = row.max()
        d = np.where(np.isfinite(row), row, best) - best
        k, s = (3 - curve) / 2, (curve - 1) / 2
        return np.where(np.isfinite(row), best - k * factor * d**2 + s * factor * d**3, -np.inf)

    assert_same_answers(lambda rows: quadratic(rows, factor, curve), reference, exact=False)


def test_quadratic_by_hand() -> None:
    scores = torch.tensor([[3.0, 1.0, -1.0, -inf]])
    assert quadratic(scores, 0.5).tolist() == [[3.0, 1.0, -5.0, -inf]]  # 3 - 0.5 * 4, 3 - 0.5 * 16
    # curve 2: k = s = 1/2. 3 - 0.25 * 4 + 0.25 * -8, 3 - 0.25 * 16 + 0.25 * -64.
    assert quadratic(scores, 0.5, 2.0).tolist() == [[3.0, 0.0, -17.0, -inf]]


def test_the_maximum_is_the_rows_own() -> None:
    """text-generation-webui's took the maximum of the whole batch."""
    rows = torch.tensor([[5.0, 0.0], [-2.0, -3.0]])
    assert quadratic(rows, 1.0)[1].tolist() == [-2.0, -3.0]


@pytest.mark.parametrize("amount", [-2.0, -0.3, 0.5, 2.0])
def test_skew_is_a_power_of_the_cumulative_distribution(amount: float) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        order = best_first(row)
        cdf = np.minimum(np.cumsum(softmax(row)[order]), 1.0) ** math.exp(amount)
        moved = np.diff(cdf, prepend=0.0)
        answer = np.empty(len(row))
        with np.errstate(divide="ignore"):
            answer[order] = np.log(moved)
        return answer

    assert_same_answers(lambda rows: skew(rows, amount), reference, exact=False)


def test_skew_by_hand() -> None:
    scores = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64).log()
    # CDF 0.5 0.8 1, squared 0.25 0.64 1.
    expected = torch.tensor([[0.36, 0.25, 0.39]], dtype=torch.float64)
    torch.testing.assert_close(skew(scores, math.log(2)).exp(), expected)


def test_skew_keeps_the_digits_of_the_tail() -> None:
    """A difference of two cumulated sums near 1 would have none left."""
    scores = torch.tensor([[0.0, -60.0, -1000.0]], dtype=torch.float64)
    moved = skew(scores, math.log(2))
    assert moved[0, 1].item() == pytest.approx(-60.0 + math.log(2))
    assert moved[0, 2].item() == pytest.approx(-1000.0 + math.log(2))
