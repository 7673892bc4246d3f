"""Assisted (speculative) decoding: a small model drafts, the large one checks several tokens in one forward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from ...contracts.protocols import Run
from .speculative import judge


class Assisted:
    """The model's own greedy text, or with `do_sample` draws from the model's own distribution, in fewer forwards.

    The draft model runs the same recipe. Rows keep different numbers of tokens and draft different numbers:
    `schedule="heuristic"` is transformers': two more after a draft that was kept whole, one fewer after any other.
    A row drafts no further once the draft model gives its token less than `confidence_threshold`.
    """

    def __init__(
        self,
        *,
        num_assistant_tokens: int,
        do_sample: bool,
        schedule: Literal["constant", "heuristic"],
        confidence_threshold: float,
    ) -> None:
        self.num_assistant_tokens, self.do_sample = num_assistant_tokens, do_sample
        self.schedule, self.confidence_threshold = schedule, confidence_threshold

    def decode(self, run: Run) -> Iterator[None]:
        draft = run.open("draft", processors=True)
        budget = torch.full_like(run.lengths, self.num_assistant_tokens)  # (R,) how many each row drafts next
        while not run.done:
            tokens, widths, drafted = self._draft(run, draft, budget)
            scores = run.verify(tokens, widths)
            counts, following = judge(run, scores, tokens, widths, drafted, self.do_sample)
            run.accept(counts, following)
            draft.finish(run.finished, "done")
            if not draft.done:
                draft.rewind(torch.where(draft.finished, 0, widths - counts))
                draft.append(following, stop=False)
            if self.schedule == "heuristic":
                budget = torch.where(counts == widths, budget + 2, (budget - 1).clamp(min=1))
            yield

    def _draft(self, run: Run, draft: Run, budget: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(R, K) int64 tokens, (R,) int64 how many of them count, and K of (R, V) scores that they come from."""
        # The last token that a row has room for is the model's own.
        room = (torch.minimum(run.room, draft.room) - 1).clamp(min=0)
        budget = torch.where(run.finished, 0, torch.minimum(budget, room))
        widths, going = torch.zeros_like(budget), ~run.finished & ~draft.finished
        tokens: list[Tensor] = []
        drafted: list[Tensor] = []
        while bool((going := going & (widths < budget)).any()):
            scores = draft.scores()
            chosen = draft.rng.categorical(scores) if self.do_sample else scores.argmax(-1)
            draft.append(chosen, stop=False, rows=going)
            tokens.append(chosen)
            drafted.append(scores)
            widths = widths + going
            if self.confidence_threshold:
                sure = scores.softmax(-1).gather(1, chosen.unsqueeze(1)).squeeze(1)  # (R, V) -> (R,)
                going = going & (sure >= self.confidence_threshold)
        if not tokens:
            return budget.new_zeros(len(budget), 0), widths, []
        return torch.stack(tokens, dim=1), widths, drafted  # K x (R,) -> (R, K)
