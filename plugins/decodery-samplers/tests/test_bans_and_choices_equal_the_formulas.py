"""Biases, bans, forced tokens, XTC's variants and the watermark against float64 references, on a thousand rows each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sampler_rows import assert_same_answers, softmax, thousand_rows

from decodery_samplers.choosing.gumbel_watermark import context_hash, watermarked
from decodery_samplers.cutting.top_a import top_a
from decodery_samplers.cutting.xtc import excluded, xtc
from decodery_samplers.penalties.forced_tokens import ForcedTokens
from decodery_samplers.text.bias import AllowedTokens, BannedTokens, LogitBias

inf = math.inf
IDS = torch.tensor([[0, 1, 2]])


def named(size: int) -> list[int]:
    """Some ids that a vocabulary has, always its first and its last."""
    return sorted({0, size // 2, size - 1})


@pytest.mark.parametrize("bias", [-1.5, 100.0, -inf])
def test_a_bias_is_added_to_the_tokens_that_are_named(bias: float) -> None:
    def biased(rows: torch.Tensor) -> torch.Tensor:
        step = LogitBias(biases=[(token, bias) for token in named(rows.shape[1])])
        return step(IDS.expand(len(rows), -1), rows)

    def reference(row: np.ndarray) -> np.ndarray:
        out = row.copy()
        out[named(len(row))] += bias
        return out.astype(np.float32).astype(np.float64)  # what a float32 holds of the sum

    for rows in thousand_rows():
        wanted = np.stack([reference(row) for row in rows.numpy().astype(np.float64)])
        np.testing.assert_array_equal(biased(rows).numpy().astype(np.float64), wanted)


def test_banned_and_allowed_tokens_share_a_row_between_them() -> None:
    for rows in thousand_rows():
        ids, tokens = IDS.expand(len(rows), -1), named(rows.shape[1])
        inside = np.isin(np.arange(rows.shape[1]), tokens)
        allowed = AllowedTokens(tokens=tokens)(ids, rows).numpy()
        banned = BannedTokens(tokens=tokens)(ids, rows).numpy()
        np.testing.assert_array_equal(allowed, np.where(inside, rows.numpy(), -inf))
        np.testing.assert_array_equal(banned, np.where(inside, -inf, rows.numpy()))


def test_a_forced_token_is_alone_with_its_own_score_or_none_at_all() -> None:
    for rows in thousand_rows():
        for token in named(rows.shape[1]):
            step = ForcedTokens(ids=[token], prompt_lengths=torch.full((len(rows),), 3))
            answer = step(IDS.expand(len(rows), -1), rows).numpy()
            wanted = np.full(rows.shape, -inf, dtype=np.float32)
            own = rows.numpy()[:, token]
            wanted[:, token] = np.where(np.isneginf(own), 0.0, own)  # a banned one comes all the same
            np.testing.assert_array_equal(answer, wanted)


@pytest.mark.parametrize("variant", ["exempt", "protect_all"])
@pytest.mark.parametrize(("threshold", "min_keep"), [(0.1, 1), (0.01, 3)])
def test_xtc_spares_what_is_protected(variant: str, threshold: float, min_keep: int) -> None:
    """`exempt`: a protected token is no candidate; `protect_all`: where one would go, nothing goes."""

    def cut(rows: torch.Tensor) -> torch.Tensor:
        protected = torch.zeros(rows.shape[1], dtype=torch.bool)
        protected[named(rows.shape[1])] = True
        dropped = excluded(rows, threshold, protected, variant, min_keep)
        return xtc(rows, dropped, torch.ones(len(rows), dtype=torch.bool))

    def reference(row: np.ndarray) -> np.ndarray:
        p, protected = softmax(row), set(named(len(row)))
        likely = [token for token in range(len(row)) if p[token] >= threshold and row[token] > -inf]
        if variant == "exempt":
            likely = [token for token in likely if token not in protected]
        if len(likely) < 2:
            return row
        stays = min(likely, key=lambda token: (row[token], -token))  # of equals the greatest id
        gone = [token for token in likely if token != stays]
        left = int((row > -inf).sum()) - len(gone)
        if left < min_keep or (variant == "protect_all" and protected & set(gone)):
            return row
        out = row.copy()
        out[gone] = -inf
        return out

    assert_same_answers(cut, reference)


def test_a_watermarked_token_has_the_greatest_root_of_its_number() -> None:
    """Aaronson's own words: the token with the greatest `u**(1/p)`, here as `log(u) / p`; u by splitmix64."""
    mask = (1 << 64) - 1

    def mixed(bits: int) -> int:
        bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & mask
        bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & mask
        return bits ^ bits >> 31

    for rows in thousand_rows():
        hashes = [context_hash(7, (row, rows.shape[1])) for row in range(len(rows))]
        signed = torch.tensor([h - (1 << 64) if h >> 63 else h for h in hashes])
        found = watermarked(rows, signed).tolist()
        for row, token in enumerate(found):
            numbers = [
                ((mixed((hashes[row] + (t + 1) * 0x9E3779B97F4A7C15) & mask) >> 11) + 0.5) * 2.0**-53
                for t in range(rows.shape[1])
            ]
            p = softmax(rows[row].numpy().astype(np.float64))
            with np.errstate(divide="ignore", over="ignore"):
                roots = np.log(numbers) / p  # -inf where p is 0
            assert p[token] > 0
            assert roots[token] == pytest.approx(roots.max(), rel=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("power", "a"), [(2.0, 0.02), (2.0, 0.5), (1.0, 0.1)])
def test_top_a_is_the_one_of_x_transformers(power: float, a: float) -> None:
    """By somebody else: lucidrains' `top_a(logits, min_p_pow, min_p_ratio)`, in float64 so that no rounding decides."""
    theirs = pytest.importorskip("x_transformers.autoregressive_wrapper").top_a
    for rows in thousand_rows():
        wanted = theirs(rows.double(), min_p_pow=power, min_p_ratio=a)
        near = rows.double().softmax(-1)
        edge = (near / (a * near.amax(-1, keepdim=True) ** power) - 1).abs() < 1e-12
        answer = top_a(rows, a, power).double()
        assert torch.equal(answer[~edge], wanted[~edge])
