"""Beam search for texts that contain given words (after Anderson et al. 2017, arXiv 1612.00576), as transformers 4.

Beside the best continuations each beam proposes the tokens that bring it further with the words. The next beams are
taken in turn from banks: texts that have come equally far.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ...contracts.protocols import Run
from .constraints import Constraints, Phrase, Progress
from .diverse_beam import DiverseBeam, Group, Option


class ConstrainedBeam(DiverseBeam):
    """`force_words`: for each word a phrase, or alternatives of which one is enough; deterministic. The words count
    where they are written, in the new text; transformers' own layout counts the prompt's too."""

    def __init__(
        self,
        *,
        force_words: tuple[Phrase | tuple[Phrase, ...], ...],
        num_beams: int,
        length_penalty: float,
        early_stopping: bool | Literal["never"],
        num_return_sequences: int | None,
        eos: tuple[int, ...],
        pad: int | None,
    ) -> None:
        super().__init__(
            num_beams=num_beams,
            num_beam_groups=1,
            diversity_penalty=0.0,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            num_return_sequences=num_return_sequences,
            eos=eos,
            pad=pad,
        )
        self.constraints = Constraints([alternatives(word) for word in force_words])

    def begin_notes(self, run: Run, prompt: int) -> list[Progress]:
        before = run.input_ids[prompt, : int(run.lengths[prompt])].tolist() if run.rectangle else []
        return [self.constraints.start(before)] * self.size

    def whole(self, note: Progress) -> bool:
        return note.complete

    def note_after(self, note: Progress, token: int) -> Progress:
        return self.constraints.after(note, token)

    def revised(
        self, run: Run, group: Group, first: int, values: Tensor, options: list[Option], last: bool
    ) -> list[Option]:
        texts = [[*run.generated(option.row), option.token] for option in options]
        proposed: list[Option] = []
        for beam, note in enumerate(group.notes):
            before = run.generated(first + beam)
            for token, progress in self.constraints.advances(note, aliased=run.rectangle):
                if [*before, token] not in texts:
                    texts.append([*before, token])
                    total = float(values[beam, token])
                    proposed.append(Option(first + beam, token, total, None, progress))
        if not proposed:
            return options
        tokens = torch.tensor([option.token for option in proposed], device=values.device)
        rows = torch.tensor([option.row for option in proposed], device=values.device)
        for option, reason in zip(proposed, run.stops(rows, tokens), strict=True):
            option.reason = reason
        everything = [*options, *(option for option in proposed if last or option.reason is None)]
        banks = [self.constraints.bank(option.note) for option in everything]
        order = in_turn(banks, [option.total for option in everything])
        following = [everything[place] for place in order[: self.size]]
        for option in following:  # what was counted by transformers' shared path is written as it is
            option.note = self.constraints.after(group.notes[option.row - first], option.token)
        return following


def in_turn(banks: list[int], totals: list[float]) -> list[int]:
    """Places, the best of each bank first, then each bank's second, the fullest bank before the others."""
    keys = torch.tensor(banks) * 100 + torch.tensor(totals)  # float32, as transformers adds
    order: list[int] = keys.sort(descending=True, stable=True).indices.tolist()
    turns, bank, turn = [], banks[order[0]], -1
    for place in order:
        turn = turn + 1 if banks[place] == bank else 0
        bank = banks[place]
        turns.append(turn)
    return [place for _, place in sorted(zip(turns, order, strict=True), key=lambda pair: pair[0])]


def alternatives(word: Phrase | tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """A phrase is a choice of one."""
    phrases = tuple(phrase for phrase in word if isinstance(phrase, tuple))
    return phrases or (tuple(token for token in word if isinstance(token, int)),)
