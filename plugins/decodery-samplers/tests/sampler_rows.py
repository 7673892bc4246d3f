"""A thousand random rows: many scales, bans, ties, tiny vocabularies; and what the tests do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor

Reference = Callable[[np.ndarray], np.ndarray]
SIZES = (1, 2, 3, 5, 17, 64, 300)
SCALES = (0.0, 1e-4, 0.3, 1.0, 3.0, 30.0, 1e3, 1e6)


@cache
def thousand_rows() -> tuple[Tensor, ...]:
    """Batches (R, V) float32, 1,008 rows in all; no row is banned altogether."""
    return tuple(_rows())


def _rows() -> Iterator[Tensor]:
    rng = np.random.default_rng(7)
    for size in SIZES:
        for scale in SCALES:
            rows = rng.standard_normal((18, size)) * scale + rng.choice([0.0, -50.0, 20.0], (18, 1))
            rows[3:6] = np.round(rows[3:6] / max(scale, 1e-9)) * scale  # ties
            # A power law, as of a language model.
            rows[6:9] = -1.2 * scale * np.log1p(rng.permuted(np.tile(np.arange(size), (3, 1)), axis=1))
            banned = rng.random((18, size)) < rng.choice([0.0, 0.3, 0.9], (18, 1))
            banned[np.arange(18), rng.integers(0, size, 18)] = False
            rows[banned] = -np.inf
            yield torch.tensor(rows, dtype=torch.float32)


def softmax(row: np.ndarray) -> np.ndarray:
    """(..., V) float64 -> (..., V) float64."""
    weights = np.exp(row - row.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def best_first(row: np.ndarray) -> np.ndarray:
    """The ids of (V,), best first; of equals the small ids first."""
    return np.argsort(-row, kind="stable")


def kept(row: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(V,) with what is not kept banned; the best stays in any case."""
    keep = keep.copy()
    keep[int(np.argmax(row))] = True
    return np.where(keep, row, -np.inf)


def assert_same_answers(
    step: Callable[[Tensor], Tensor], reference: Reference, *, exact: bool = True
) -> None:
    """`step` (R, V) -> (R, V) says on every row what `reference` (V,) float64 -> (V,) float64 says.

    `exact`: what is kept keeps its score. Otherwise the probabilities agree, and the bans.
    """
    for rows in thousand_rows():
        answers = step(rows).numpy()
        assert answers.dtype == np.float32
        wide = rows.numpy().astype(np.float64)
        wanted = np.stack([reference(row) for row in wide])
        if exact:
            np.testing.assert_array_equal(answers.astype(np.float64), wanted)
        else:
            np.testing.assert_array_equal(np.isneginf(answers), np.isneginf(wide))
            found, expected = softmax(answers.astype(np.float64)), softmax(wanted)
            np.testing.assert_allclose(found, expected, atol=2e-5, rtol=2e-3)
