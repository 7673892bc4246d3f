"""What becomes of a step's tokens in device memory: who gets one, who ends, and what halts the steps behind."""

from __future__ import annotations

from typing import Any

import torch

from decodery.engine.buffers.history import History
from decodery.engine.graph.ends import Ends
from decodery.engine.graph.standing import Standing, settle

CPU = torch.device("cpu")
PAD, END = 99, 7


def standing(everyone: bool = False, pads: bool = False) -> Standing:
    """Rows of two, one and one tokens, which end with 7 or at four tokens."""
    history = History([[1, 2], [3], [4]], PAD, CPU)
    history.reserve(8)
    ends = Ends(torch.tensor([END]), torch.full((3,), 4), history)
    return Standing(history, ends, everyone, pads)


def texts(of: Standing) -> list[list[int]]:
    rows = zip(of.history.tokens.tolist(), of.history.lengths.tolist(), strict=True)
    return [row[:length] for row, length in rows]


def step(of: Standing, *tokens: int, bad: Any = None, unsure: Any = None) -> None:
    flags = (None if each is None else torch.tensor(each) for each in (bad, unsure))
    settle(of, torch.tensor(tokens), *flags)


def test_rows_grow_until_an_end_is_named_or_they_are_long_enough() -> None:
    run = standing()
    step(run, 10, END, 12)
    assert texts(run) == [[1, 2, 10], [3, END], [4, 12]]
    assert (run.growing.tolist(), run.halted.tolist()) == ([True, False, True], [False])
    step(run, 20, 21, 22)
    assert texts(run) == [[1, 2, 10, 20], [3, END], [4, 12, 22]]
    assert (run.growing.tolist(), run.written.tolist()) == ([False, False, True], [True, False, True])
    assert run.newest.flatten().tolist() == [20, END, 22]
    assert run.told[0].tolist() == [20, 21, 22]


def test_the_last_rows_end_halts_and_a_halted_step_leaves_everything() -> None:
    for everyone, pads in ((False, False), (True, True)):
        run = standing(everyone, pads)
        step(run, END, END, END)
        assert run.halted.tolist() == [True]
        before = [texts(run), run.told.tolist(), run.written.tolist(), run.newest.tolist()]
        step(run, 5, 5, 5, unsure=[0, 1, 0])
        assert [texts(run), run.told.tolist(), run.written.tolist(), run.newest.tolist()] == before


def test_a_row_that_is_bad_or_unsure_gets_no_token_and_halts() -> None:
    for kind in ("bad", "unsure"):
        run = standing()
        step(run, 10, 11, 12, **{kind: [0, 1, 0]})
        assert texts(run) == [[1, 2, 10], [3], [4, 12]]
        assert run.halted.tolist() == [True]
        assert run.told[1 if kind == "bad" else 2].tolist() == [0, 1, 0]
        run.halted.zero_()
        step(run, 20, 21, 22)
        assert texts(run) == [[1, 2, 10, 20], [3, 21], [4, 12, 22]]


def test_a_finished_row_can_be_neither_and_is_padded_where_all_are_written() -> None:
    run = standing(everyone=True, pads=True)
    step(run, 10, END, 12)
    step(run, 20, 21, 22, bad=[False, True, False])
    assert texts(run) == [[1, 2, 10, 20], [3, END, PAD], [4, 12, 22]]
    assert run.halted.tolist() == [False]
