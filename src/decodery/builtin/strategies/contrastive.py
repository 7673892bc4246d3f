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
        rows = len(run.reasons)
        first = torch.arange(rows, device=run.lengths.device)
        while not run.done:
            lengths = run.lengths.clone()
            try:
                self._step(run, first)
            except KeyboardInterrupt:
                if len(run.reasons) > rows:  # back to the rows, without their candidates
                    run.select(first * (len(run.reasons) // rows))
                    run.rewind(run.lengths - lengths)
                raise
            yield

    def _step(self, run: Run, first: Tensor) -> None:
        """One token in every row; `first` (R,) int64 are the rows."""
        scores = run.scores()
        likely, tokens = scores.softmax(-1).topk(min(self.top_k, scores.shape[-1]))  # (R, K)
        forks = first.repeat_interleave(tokens.shape[1])
        reasons = run.stops(forks, tokens.flatten())
        before = run.lengths[forks]
        run.select(forks)  # R -> R x K
        run.append(tokens.flatten(), stop=False)
        states = run.hidden([-1])[0]  # (R x K, T, H)
        # A finished row gets no candidate, and the model may not have been fed its last token.
        before = before.clamp(max=states.shape[1] - 1)
        alike = degeneration(states, before, run.padding).view(len(first), -1)  # (R x K,) -> (R, K)
        best = (1 - self.penalty_alpha) * likely - self.penalty_alpha * alike
        best = best.masked_fill(likely == 0, -torch.inf).argmax(-1)  # (R,), never a token that is banned
        chosen = first * tokens.shape[1] + best
        run.select(chosen)  # R x K -> R
        found = [reasons[place] for place in chosen.tolist()]
        for reason in {reason for reason in found if reason is not None}:
            run.finish(torch.tensor([r == reason for r in found], device=chosen.device), reason)


def degeneration(states: Tensor, before: Tensor, padding: Tensor) -> Tensor:
    """(R, T, H), (R,) int64 twice -> (R,): the greatest cosine between the state at place `before[r]` and one before
    it, from place `padding[r]` on."""
    states = states / states.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(states.dtype).tiny)
    newest = states.gather(1, before.view(-1, 1, 1).expand(-1, 1, states.shape[-1]))  # (R, 1, H)
    cosines = (states @ newest.transpose(1, 2)).squeeze(-1)  # (R, T)
    places = torch.arange(states.shape[1], device=states.device)
    earlier = (places < before.unsqueeze(1)) & (places >= padding.unsqueeze(1))  # (T,) < (R, 1) -> (R, T)
    return cosines.masked_fill(~earlier, -torch.inf).amax(-1)
