"""Several tokens in one forward: what the processors say at every position of drafts that might come next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..buffers.feed import Feed
from ..buffers.history import History
from ..plan.plan import Plan
from ..steps.apply import View
from .hypotheses import Drafts
from .roster import Roster


def verified(
    history: History, feed: Feed, plan: Plan, rows: Roster, drafts: Tensor, widths: Sequence[int]
) -> Drafts:
    """Of the drafts (R, K) int64 the first `widths[r]` of each unfinished row r, as if they had been appended. History,
    steps and rows are left as they were found; only the session has seen the drafts."""
    unfinished = rows.unfinished
    columns = [[row for row in unfinished if column < widths[row]] for column in range(drafts.shape[1])]
    written = torch.zeros_like(history.lengths)
    for column, members in enumerate(columns):
        rows.activate(members)
        history.write(drafts[:, column], rows.mask, members)
        written += rows.mask
    host_written = written.tolist()
    try:
        raw = feed.window(unfinished, [count + 1 for count in host_written])  # (R, K + 1, V)
    finally:
        history.rewind(written, host_written)
    rows.activate(unfinished)
    scores = [plan(View.of(history, rows.active), raw[:, 0])]
    for column, members in enumerate(columns):
        rows.activate(members)
        history.write(drafts[:, column], rows.mask, members)
        plan.observe(drafts[:, column], rows.mask)
        # Where no row drafts so far, nothing is looked at.
        last = raw[:, min(column + 1, raw.shape[1] - 1)]
        scores.append(plan(View.of(history, rows.active), last) if members else scores[-1])
    history.rewind(written, host_written)
    plan.rewind(written)
    rows.activate(unfinished)
    return Drafts(drafts, raw, scores)
