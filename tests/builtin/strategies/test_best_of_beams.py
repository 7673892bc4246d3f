"""The blocks of the vocabulary change nothing: `best_of_beams` against torch's top-k of all sums."""

from __future__ import annotations

import pytest
import torch

from decodery.builtin.strategies.best import BLOCK, best_of_beams


@pytest.mark.parametrize("vocabulary", [7, BLOCK, 2 * BLOCK + 1, 1000, 40 * BLOCK, 5 * BLOCK - 1])
@pytest.mark.parametrize(("prompts", "beams", "count"), [(1, 1, 2), (1, 4, 8), (3, 5, 10), (2, 4, 164)])
@pytest.mark.parametrize("banned", [0.0, 0.9, 0.999])
def test_the_best_among_blocks_are_the_best_of_all(
    vocabulary: int, prompts: int, beams: int, count: int, banned: float
) -> None:
    generator = torch.Generator().manual_seed(vocabulary * count)
    values = torch.randn(prompts, beams, vocabulary, generator=generator).log_softmax(-1)
    values[torch.rand(values.shape, generator=generator) < banned] = -torch.inf
    running = torch.randn(prompts, beams, generator=generator) * 10
    running[:, 1:2] = -1.0e9  # as the beams of a prompt begin
    sums = (values + running.unsqueeze(-1)).flatten(1)
    expected = sums.topk(min(count, sums.shape[1]))
    found, places = best_of_beams(values, running, count)
    assert torch.equal(found, expected.values)
    assert torch.equal(sums.gather(1, places), found)
    assert all(len(set(row)) == len(row) for row in places.tolist())


def test_a_bad_number_comes_first_so_that_it_is_seen() -> None:
    values = torch.randn(1, 4, 20 * BLOCK)
    values[0, 2, 700] = torch.nan
    assert best_of_beams(values, torch.zeros(1, 4), 8)[0][0, 0].isnan()
