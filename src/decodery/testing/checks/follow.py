"""Steps that follow their rows: after any detour they answer as if the rows had been written straight down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..case import Case, unlike
from ..samples import NAMED, PAD, VOCABULARIES, Rows, rows
from .check import check, require

KINDS = ("lm-like", "with bans")
# (step, row): tokens that every row of a batch of four is given, one step after another.
TOKENS = torch.tensor([[2, 3, 1, 5], [1, 2, 2, 0], [5, 1, 1, 2], [2, 2, 5, 1], [1, 4, 3, 2]])


class Replay:
    """A step bound at the prompt and told what happens to its rows, as a run tells it.

    `rectangle` is transformers' own layout, in which one object has all rows whatever its traits.
    """

    def __init__(self, case: Case, prompts: Rows, *, rectangle: bool = False) -> None:
        self.case, self.rows = case, prompts
        self.steps = torch.zeros_like(prompts.lengths)
        self.bound = case.bind(prompts, rectangle=rectangle, steps=self.steps)

    def grow(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool: one token in every active row."""
        ids = torch.nn.functional.pad(self.rows.ids, (0, 1), value=PAD)  # (R, T) -> (R, T + 1)
        at = self.rows.lengths[:, None]  # (R,) -> (R, 1)
        kept = torch.where(active[:, None], tokens[:, None], ids.gather(1, at))
        ids = ids.scatter(1, at, kept)
        lengths = self.rows.lengths + active
        self.rows = replace(self.rows, ids=ids[:, : int(lengths.max())], lengths=lengths)
        self.steps += active
        self.bound.observe(tokens, active)

    def take_back(self, counts: Tensor) -> None:
        """(R,) int64 tokens of each row."""
        lengths = self.rows.lengths - counts
        ids = self.rows.ids.masked_fill(torch.arange(self.rows.ids.shape[1]) >= lengths[:, None], PAD)
        self.rows = replace(self.rows, ids=ids[:, : int(lengths.max())], lengths=lengths)
        self.steps -= counts
        alone = len(self.bound.instances) == len(counts)
        for row, instance in enumerate(self.bound.instances):
            instance.rewind(counts[row : row + 1] if alone else counts)

    def select(self, order: Sequence[int]) -> None:
        """Reorder, repeat and drop rows."""
        self.rows = self.rows.take(order)
        self.steps = self.steps[list(order)]
        for instance in self.bound.instances:
            instance.select(torch.tensor(order))

    def answer(self) -> Tensor:
        """(R, V) or (R,) bool."""
        return self.case.answer(self.rows, self.bound)


@check("step", "observe", remedy="in observe, move the state of row r only where active[r]")
def observe_equals_replay(case: Case) -> None:
    """In a batch where some rows rest now and then, as in a batch of each row alone."""
    active = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 0], [0, 1, 1, 1]]).bool()
    for prompts in _ragged_prompts():
        together = Replay(case, prompts)
        for tokens, mask in zip(TOKENS, active, strict=True):
            together.grow(tokens, mask)
        for row in range(len(prompts.lengths)):
            expected = _alone(case, prompts, row, TOKENS[active[:, row], row])
            moved = unlike(together.answer()[row : row + 1], expected) is not None
            require(not moved, f"answers row {row}, which rests at some steps, as if it had not")


@check("step", "rewind", remedy="in rewind, undo the last counts[r] tokens that observe was told of row r")
def rewind_equals_replay(case: Case) -> None:
    """Tokens taken back, of each row another number, leave no trace."""
    for prompts in _ragged_prompts():
        detour, straight = Replay(case, prompts), Replay(case, prompts)
        kept, everyone = torch.tensor([4, 3, 1, 2]), torch.ones(4, dtype=torch.bool)
        for step, tokens in enumerate(TOKENS[:4]):
            detour.grow(tokens, everyone)
            straight.grow(tokens, step < kept)
        detour.take_back(4 - kept)
        for replay in (detour, straight):
            replay.grow(TOKENS[4], everyone)
        row = unlike(detour.answer(), straight.answer())
        require(row is None, f"remembers tokens that were taken back from row {row}")


@check("step", "select", unless=["rng"], remedy="in select, index all state of rows: self.x = self.x[rows]")
def select_equals_replay(case: Case) -> None:
    """Rows reordered, one of them twice and one dropped, go on like rows that had always been there."""
    order, everyone = [2, 0, 0, 3], torch.ones(4, dtype=torch.bool)
    for prompts in _equal_prompts():
        moved = Replay(case, prompts, rectangle=True)
        for tokens in TOKENS[:3]:
            moved.grow(tokens, everyone)
        moved.select(order)
        for tokens in TOKENS[3:]:
            moved.grow(tokens, everyone)
        for place, row in enumerate(order):
            tokens = torch.cat((TOKENS[:3, row], TOKENS[3:, place]))  # (3,), (2,) -> (5,)
            expected = _alone(case, prompts, row, tokens, rectangle=True)
            lost = unlike(moved.answer()[place : place + 1], expected) is not None
            require(not lost, f"loses track of a row that select moved from {row} to {place}")


def _alone(case: Case, prompts: Rows, row: int, tokens: Tensor, *, rectangle: bool = False) -> Tensor:
    """The answer for one row that is given (N,) tokens, with nobody beside it."""
    replay = Replay(case, prompts.take([row]), rectangle=rectangle)
    for token in tokens.unsqueeze(1):  # (N,) -> N x (1,)
        replay.grow(token, torch.ones(1, dtype=torch.bool))
    return replay.answer()


def _ragged_prompts() -> list[Rows]:
    lengths = (5, 3, 1, 4)
    return [rows(kind, vocab, lengths, lengths, seed=31) for kind in KINDS for vocab in VOCABULARIES]


def _equal_prompts() -> list[Rows]:
    """Left-padded, as transformers lays them out."""
    padding = torch.tensor([0, 2, 1, 3])
    made = [rows(kind, vocab, (5,) * 4, (5,) * 4, seed=41) for kind in KINDS for vocab in VOCABULARIES]
    hidden = torch.arange(5) < padding[:, None]
    return [replace(batch, ids=batch.ids.masked_fill(hidden, NAMED - 1), padding=padding) for batch in made]


CHECKS = (observe_equals_replay, rewind_equals_replay, select_equals_replay)
