"""Stop rules that say what they are, as a function of device memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...contracts.lowering import AtTokens
from ..buffers.history import History
from ..steps.stopping import StopRules

_FAR = 2**62


@dataclass(frozen=True, slots=True)
class Ends:
    """Newest tokens (R,) int64, which are in the history -> (R,) bool: rows that end with them: they are among `named`
    (S,) int64, or the text is as long as `most` (R,) int64."""

    named: Tensor
    most: Tensor
    history: History

    def __call__(self, tokens: Tensor) -> Tensor:
        ended = (tokens.unsqueeze(1) == self.named).any(1)  # (R, 1) == (S,) -> (R, S) -> (R,)
        return ended | (self.history.lengths >= self.most)


def ends_of(stops: StopRules, history: History) -> Ends | None:
    """What `StopRules.of_tokens` says on the host; None where a rule must be asked there."""
    if not stops.plain:
        return None
    endings = [ending for _, ending in stops.endings]
    most = torch.full_like(history.lengths, _FAR if stops.context is None else stops.context)
    for ending in endings:
        if not isinstance(ending, AtTokens):
            least = torch.full_like(most, min(ending.most, _FAR))
            most = torch.minimum(most, least + history.prompt_lengths if ending.beyond_prompt else least)
    named = sorted({token for ending in endings if isinstance(ending, AtTokens) for token in ending.ids})
    return Ends(torch.tensor(named, dtype=torch.int64, device=most.device), most, history)
