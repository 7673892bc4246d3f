"""Contrastive search (Su et al. 2022, arXiv 2202.06417), as transformers 4.55 did it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...contracts.protocols import Run


class Contrastive:
    """Of the `top_k` best tokens the one that is likely and whose hidden state is least like those before it:
    `(1 - penalty_alpha) * p - penalty_alpha * max cos(h, h_context)`."""

    def __init__(self, *, top_k: int, penalty_alpha: float) -> None:
        self.top_k, self.penalty_alpha = top_k, penalty_alpha

    def decode(self, run: Run) -> Iterator[None]:
        """Raises `ModelError` for a model that does not tell its hidden states."""
        run.hidden([-1])  # so that they are kept from the first forward on
        while not run.done:
            rows = len(run.reasons)
            first = torch.arange(rows, device=run.lengths.device)
            likely, tokens = run.scores().softmax(-1).topk(self.top_k)  # (R, K)
            forks = first.repeat_interleave(tokens.shape[1])
            reasons = run.stops(forks, tokens.flatten())
            before = run.lengths[forks]
            run.select(forks)  # R -> R x K
            run.append(tokens.flatten(), stop=False)
            states = run.hidden([-1])[0]  # (R x K, T, H)
            alike = degeneration(states, before).view(rows, -1)
            best = ((1 - self.penalty_alpha) * likely - self.penalty_alpha * alike).argmax(-1)  # (R,)
            chosen = first * tokens.shape[1] + best
            run.select(chosen)  # R x K -> R
            found = [reasons[place] for place in chosen.tolist()]
            for reason in {reason for reason in found if reason is not None}:
                run.finish(torch.tensor([r == reason for r in found], device=chosen.device), reason)
            yield


def degeneration(states: Tensor, before: Tensor) -> Tensor:
    """(R, T, H), (R,) int64 -> (R,): the greatest cosine between the state at place `before[r]` and one before it."""
    states = states / states.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(states.dtype).tiny)
    newest = states.gather(1, before.view(-1, 1, 1).expand(-1, 1, states.shape[-1]))  # (R, 1, H)
    cosines = (states @ newest.transpose(1, 2)).squeeze(-1)  # (R, T)
    earlier = torch.arange(states.shape[1], device=states.device) < before.unsqueeze(1)
    return cosines.masked_fill(~earlier, -torch.inf).amax(-1)
