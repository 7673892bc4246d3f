"""The loop of per-token strategies. It fits a page, and everything in it happens once a token."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from .run.run import Run


def decode_tokens(run: Run) -> Iterator[None]:
    """Until every row is finished: forward, process, choose, record. Yields after each step, so that a stream can
    show what came and a caller can stop asking."""
    while not run.done:
        with torch.no_grad():
            run.append(run.pick())
        yield
