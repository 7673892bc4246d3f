"""Each cut against a float64 reference written from its source, one row at a time, and against cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sampler_rows import assert_same_answers, best_first, kept, softmax, thousand_rows

from decodery_samplers.cutting.p_less import p_less
from decodery_samplers.cutting.p_step import p_step
from decodery_samplers.cutting.tail_free import tail_free
from decodery_samplers.cutting.top_a import top_a
from decodery_samplers.cutting.top_n_sigma import top_n_sigma
from decodery_samplers.cutting.top_p_decay import decayed, nucleus
from decodery_samplers.cutting.xtc import excluded, expected_xtc, xtc

inf = math.inf


def survivors(scores: torch.Tensor) -> list[list[int]]:
    return [row.isfinite().nonzero().flatten().tolist() for row in scores]


def log(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


# -- top-n-sigma --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0.1, 1.0, 2.5])
def test_top_n_sigma_is_the_papers(n: float) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        allowed = row[np.isfinite(row)]
        return kept(row, row >= allowed.max() - n * allowed.std())

    assert_same_answers(lambda rows: top_n_sigma(rows, n), reference)


def test_top_n_sigma_of_text_generation_webui_counts_bans_as_zero_and_divides_by_one_less() -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        if len(row) == 1:
            return row
        filled = np.where(np.isfinite(row), row, 0.0)
        return kept(row, row >= row.max() - filled.std(ddof=1))

    assert_same_answers(lambda rows: top_n_sigma(rows, 1.0, "tgw"), reference)


def test_top_n_sigma_by_hand() -> None:
    scores = torch.tensor([[4.0, 2.0, 0.0, -inf]])  # mean 2, population sd sqrt(8/3) = 1.63
    assert survivors(top_n_sigma(scores, 1.0)) == [[0]]  # bound 2.37
    assert survivors(top_n_sigma(scores, 1.3)) == [[0, 1]]  # bound 1.88
    # With the ban as 0: mean 1.5, sd over 3 degrees sqrt(11/3) = 1.91.
    assert survivors(top_n_sigma(scores, 1.1, "tgw")) == [[0, 1]]  # bound 1.89


def test_top_n_sigma_is_no_nan_after_a_mask() -> None:
    """A standard deviation over -inf is NaN, and everything or nothing was cut."""
    scores = torch.tensor([[3.0, -inf, 2.9, -inf, -5.0]])
    assert survivors(top_n_sigma(scores, 1.0)) == [[0, 2]]


def test_temperature_does_not_move_top_n_sigma() -> None:
    scores = torch.randn(50, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert survivors(top_n_sigma(scores / 0.125, 1.2)) == survivors(top_n_sigma(scores, 1.2))


# -- top-a --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "power"), [(0.2, 2.0), (1.0, 1.0), (0.05, 3.0)])
def test_top_a_is_the_formula(a: float, power: float) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        p = softmax(row)
        return kept(row, (p >= a * p.max() ** power) & np.isfinite(row))

    assert_same_answers(lambda rows: top_a(rows, a, power), reference)


def test_top_a_by_hand() -> None:
    scores = log(0.5, 0.3, 0.12, 0.08)
    assert survivors(top_a(scores, 0.4)) == [[0, 1, 2]]  # bound 0.4 * 0.25 = 0.1
    assert survivors(top_a(scores, 0.4, power=1)) == [[0, 1]]  # 0.4 * 0.5 = 0.2
    assert survivors(top_a(scores, 1.0, min_keep=3)) == [[0, 1, 2]]


# -- tail-free ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("z", [0.1, 0.7, 0.95])
@pytest.mark.parametrize("variant", ["hf", "kobold"])
def test_tail_free_is_the_description(z: float, variant: str) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        order, p = best_first(row), np.sort(softmax(row))[::-1]
        if len(row) < 3:
            return row
        bend = np.abs(np.diff(np.diff(p)))
        if bend.sum() <= 1e-15:
            return row
        share, cut = 0.0, len(row)
        for place, value in enumerate(bend / bend.sum()):
            share += value
            if share > z:
                cut = place + (1 if variant == "hf" else 0)
                break
        keep = np.zeros(len(row), dtype=bool)
        keep[order[: max(cut, 1)]] = True
        return kept(row, keep)

    assert_same_answers(lambda rows: tail_free(rows, z, variant), reference)


def test_tail_free_by_hand() -> None:
    # Sorted, the differences are -0.2 -0.1 -0.05 -0.05, the second ones 0.1 0.05 0, their shares 2/3 1 1.
    scores = log(0.45, 0.25, 0.15, 0.05, 0.1)
    assert survivors(tail_free(scores, 0.5)) == [[0]]
    assert survivors(tail_free(scores, 0.7)) == [[0, 1]]
    assert survivors(tail_free(scores, 0.7, "kobold")) == [[0]]
    assert survivors(tail_free(scores, 0.7, "kobold", min_keep=3)) == [[0, 1, 2]]


# -- p-less and p-step --------------------------------------------------------------------------------------


def test_p_less_is_the_papers() -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        p = softmax(row)
        return kept(row, (p >= (p**2).sum() * (1 - 1e-12)) & np.isfinite(row))

    assert_same_answers(p_less, reference)


def test_p_less_by_hand() -> None:
    assert survivors(p_less(log(0.5, 0.3, 0.2))) == [[0]]  # 0.25 + 0.09 + 0.04 = 0.38
    assert survivors(p_less(log(0.4, 0.35, 0.25))) == [[0, 1]]  # 0.345
    assert survivors(p_less(torch.zeros(1, 7))) == [[0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("r", [0.2, 0.9, 1.0])
def test_p_step_is_the_description(r: float) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        order, p = best_first(row), np.sort(softmax(row))[::-1]
        cut = next((i + 1 for i in range(len(p) - 1) if p[i + 1] < r * p[i]), len(p))
        keep = np.zeros(len(row), dtype=bool)
        keep[order[:cut]] = True
        return kept(row, keep & np.isfinite(row))

    assert_same_answers(lambda rows: p_step(rows, r), reference)


def test_p_step_by_hand() -> None:
    scores = log(0.4, 0.3, 0.1, 0.09, 0.11)
    assert survivors(p_step(scores, 0.5)) == [[0, 1]]  # 0.11 < 0.15
    assert survivors(p_step(scores, 0.3)) == [[0, 1, 2, 3, 4]]


# -- xtc ----------------------------------------------------------------------------------------------------

NOBODY = torch.zeros(1, dtype=torch.bool)


def xtc_reference(row: np.ndarray, threshold: float) -> np.ndarray:
    p = softmax(row)
    reach = [token for token in best_first(row) if p[token] >= threshold and np.isfinite(row[token])]
    keep = np.ones(len(row), dtype=bool)
    keep[reach[:-1]] = False
    return np.where(keep, row, -np.inf)


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.1, 0.4])
def test_xtc_drops_all_likely_tokens_but_the_least_likely(threshold: float) -> None:
    def cut(rows: torch.Tensor) -> torch.Tensor:
        nobody = torch.zeros(rows.shape[1], dtype=torch.bool)
        return xtc(rows, excluded(rows, threshold, nobody), torch.ones(len(rows), dtype=torch.bool))

    def reference(row: np.ndarray) -> np.ndarray:
        return xtc_reference(row, threshold)

    assert_same_answers(cut, reference)


def test_xtc_by_hand() -> None:
    scores = log(0.4, 0.3, 0.2, 0.1)
    assert survivors(scores.masked_fill(excluded(scores, 0.15, NOBODY), -inf)) == [[2, 3]]
    assert survivors(scores.masked_fill(excluded(scores, 0.35, NOBODY), -inf)) == [[0, 1, 2, 3]]
    newline = torch.tensor([True, False, False, False])
    assert survivors(scores.masked_fill(excluded(scores, 0.15, newline, "exempt"), -inf)) == [[0, 2, 3]]
    assert survivors(scores.masked_fill(excluded(scores, 0.15, newline, "protect_all"), -inf)) == [
        [0, 1, 2, 3]
    ]
    last = torch.tensor([False, False, True, False])  # it would stay anyhow
    assert survivors(scores.masked_fill(excluded(scores, 0.15, last, "protect_all"), -inf)) == [[2, 3]]
    assert survivors(scores.masked_fill(excluded(scores, 0.15, NOBODY, min_keep=3), -inf)) == [[0, 1, 2, 3]]


def test_expected_xtc_is_the_mixture_over_the_coin() -> None:
    for rows in thousand_rows():
        nobody = torch.zeros(rows.shape[1], dtype=torch.bool)
        dropped = excluded(rows, 0.05, nobody)
        answer = expected_xtc(rows.double(), dropped, 0.3).exp()
        heads = rows.double().masked_fill(dropped, -inf).softmax(-1)
        torch.testing.assert_close(answer, 0.7 * rows.double().softmax(-1) + 0.3 * heads)


# -- top-p that decays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1e-6, 0.3, 0.95])
def test_nucleus_is_the_smallest_set_that_holds_p(p: float) -> None:
    def reference(row: np.ndarray) -> np.ndarray:
        order, mass = best_first(row), softmax(row)
        keep, held = np.zeros(len(row), dtype=bool), 0.0
        for token in order:
            if held >= p:
                break
            keep[token] = True
            held += mass[token]
        return kept(row, keep)

    def cut(rows: torch.Tensor) -> torch.Tensor:
        return nucleus(rows, torch.full((len(rows),), p, dtype=torch.float64))

    assert_same_answers(cut, reference)


def test_p_decays_with_each_token_and_begins_anew_after_a_reset() -> None:
    ids = torch.tensor([[9, 9, 1, 2, 9, 3], [9, 1, 2, 3, 0, 0], [9, 9, 0, 0, 0, 0]])
    p = decayed(ids, torch.tensor([6, 4, 2]), torch.tensor([2, 1, 2]), 0.9, 0.5, 0.2, torch.tensor([9]))
    assert p.tolist() == [0.45, 0.2, 0.9]  # one token since the reset; three, floored; none yet
