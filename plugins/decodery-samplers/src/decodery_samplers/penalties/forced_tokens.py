"""Forced tokens: the text of a trace once more, with the scores that it has now."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..rows.lengths import lengths_of


def forced(scores: Tensor, tokens: Tensor, now: Tensor) -> Tensor:
    """In the rows where `now`, only `tokens` may come, with their own scores: (R, V), (R,) int64, (R,) bool -> (R, V).

    A token that was banned may come all the same, with a score of 0.
    """
    at = tokens.unsqueeze(-1)  # (R,) -> (R, 1)
    own = scores.gather(-1, at)
    own = torch.where(own.isneginf(), 0.0, own)
    alone = torch.full_like(scores, -torch.inf).scatter(-1, at, own)
    return torch.where(now.unsqueeze(-1), alone, scores)


class ForcedTokens:
    """The first generated tokens are `ids`, one after another; then the row is free. vLLM's replay of a trace."""

    def __init__(self, *, ids: Sequence[int], prompt_lengths: Tensor) -> None:
        self.ids, self.prompt_lengths = torch.tensor(list(ids), dtype=torch.int64), prompt_lengths

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V). Ids outside the vocabulary are not forced."""
        if not len(self.ids):
            return scores
        ids = self.ids.to(scores.device)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        place = lengths_of(input_ids, lengths) - prompt_lengths
        tokens = ids[place.clamp(0, len(ids) - 1)]
        now = (place < len(ids)) & (tokens < scores.shape[-1])
        return forced(scores, tokens.clamp(max=scores.shape[-1] - 1), now)
