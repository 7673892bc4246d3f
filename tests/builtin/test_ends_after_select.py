"""A minimum of new tokens, lowered, while rows are reordered, repeated and dropped: transformers' class row by row."""

from __future__ import annotations

import torch
from transformers.generation.logits_process import MinNewTokensLengthLogitsProcessor

from decodery.builtin.lowerings.ends import EarlyEnds

EOS, LEAST = [4, 9], 3


def banned(source: EarlyEnds, lengths: list[int]) -> list[set[int]]:
    """What the edit bans in each row."""
    ids, values = source.edits(
        torch.zeros(len(lengths), max(lengths), dtype=torch.int64), torch.tensor(lengths)
    )
    assert bool((values == -torch.inf).all())
    return [{token for token in row if token >= 0} for row in ids.expand(len(lengths), -1).tolist()]


def theirs(prompt: int, length: int) -> set[int]:
    """What transformers bans in a row of so many tokens."""
    processor = MinNewTokensLengthLogitsProcessor(prompt, LEAST, EOS)
    scores = processor(torch.zeros(1, length, dtype=torch.int64), torch.zeros(1, 12))
    return set((scores[0] == -torch.inf).nonzero().view(-1).tolist())  # (F, 1) -> (F,)


def test_each_row_is_banned_its_ends_by_its_own_prompt_wherever_it_went() -> None:
    prompts, lengths = [2, 5, 4], [6, 6, 6]
    source = EarlyEnds(EOS, LEAST, torch.tensor(prompts))
    for rows in ([0, 1, 2], [2, 1, 0], [1, 1, 0, 2], [3, 0], [1]):
        source.select(torch.tensor(rows))
        prompts = [prompts[row] for row in rows]
        lengths = [lengths[row] for row in rows]
        for more in range(4):
            grown = [length + more for length in lengths]
            expected = [theirs(*row) for row in zip(prompts, grown, strict=True)]
            assert banned(source, grown) == expected
