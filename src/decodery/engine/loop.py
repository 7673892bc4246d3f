"""The loop of per-token strategies, which fits a page, and the way into the loops that strategies own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch

from .run.run import Run
from .run.steady import Steady


def decode_tokens(run: Run) -> Iterator[None]:
    """Until every row is finished: forward, process, choose, record. Yields after each step, so that a stream can
    show what came and a caller can stop asking."""
    steady = Steady.of(run)
    while not run.done:
        if steady is None or not steady.step():
            with torch.no_grad():
                run.append(run.pick())
        yield


def own_steps(strategy: Any, run: Run) -> Iterator[None]:
    """What `strategy.decode(run)` yields. Each step is in one grad mode, so that a session need not enter it at every
    forward, and the caller between two steps is not."""
    with torch.no_grad():
        steps = iter(strategy.decode(run) or ())
    with ExitStack() as stack:
        if hasattr(steps, "close"):
            stack.callback(steps.close)
        while True:
            with torch.no_grad():
                if next(steps, _NO_MORE) is _NO_MORE:
                    return
            yield


_NO_MORE = object()
