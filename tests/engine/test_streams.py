"""Streams for `async for` and for callbacks, and one prefill for rows that begin alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch
from engine_support import VOCAB
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.testing import TableModel

PROMPTS = [[1, 2], [3], [5, 6, 7]]


def decoder(strategy: str = "sample", **params: Any) -> Decoder:
    pipe = Pipeline().with_strategy(strategy, **params).stop("max_new_tokens", 5)
    return Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB)


@pytest.mark.parametrize("strategy", ["sample", "beam", "prompt_lookup"])
def test_an_asynchronous_stream_has_the_events_of_the_other_one(strategy: str) -> None:
    async def gather() -> list[Any]:
        async with decoder(strategy).stream(PROMPTS, seed=2) as stream:
            return [event async for event in stream]

    events = asyncio.run(gather())
    assert events == list(decoder(strategy).stream(PROMPTS, seed=2))
    tokens = [[e.token for e in events if e.row == row] for row in range(3)]
    assert tokens == decoder(strategy).generate(PROMPTS, seed=2).tokens


def test_other_tasks_run_while_the_model_does() -> None:
    async def both() -> list[str]:
        order: list[str] = []

        async def tick() -> None:
            while len(order) < 40:
                order.append("tick")
                await asyncio.sleep(0)

        async def read() -> None:
            async for _ in decoder().stream(PROMPTS, seed=2):
                order.append("event")  # noqa: PERF401 (in step with the ticks)

        await asyncio.gather(read(), tick())
        return order

    order = asyncio.run(both())
    assert "tick" in order[: len(order) - order[::-1].index("event")]


def test_a_stream_that_is_left_early_gives_the_model_back() -> None:
    async def leave() -> list[str]:
        stream = decoder().stream(PROMPTS, seed=2)
        async for _ in stream:
            break
        await stream.aclose()
        return stream.result.finish_reasons

    assert asyncio.run(leave()) == ["interrupted"] * 3


def test_an_error_of_the_model_reaches_whoever_reads() -> None:
    def fails(ids: Tensor) -> Tensor:
        if ids.shape[1] > 4:
            raise RuntimeError("out of luck")
        return torch.zeros(*ids.shape, VOCAB)

    async def read() -> None:
        async for _ in Decoder(fails, vocab_size=VOCAB).stream([[1, 2]], max_new_tokens=9):
            pass

    with pytest.raises(Exception, match="out of luck"):
        asyncio.run(read())


def test_a_callback_is_told_each_event() -> None:
    events: list[Any] = []
    gen = decoder().generate(PROMPTS, seed=2, on_event=events.append)
    assert events == list(decoder().stream(PROMPTS, seed=2))
    assert gen.tokens == decoder().generate(PROMPTS, seed=2).tokens


@pytest.mark.parametrize(("strategy", "n", "rows"), [("sample", 5, 2), ("beam", 1, 2), ("best_of", 1, 2)])
def test_rows_that_begin_alike_are_prefilled_once(strategy: str, n: int, rows: int) -> None:
    seen: list[int] = []
    table = TableModel(VOCAB)

    def spy(ids: Tensor) -> Tensor:
        seen.append(len(ids))
        return table(ids)

    pipe = Pipeline().with_strategy(strategy).stop("max_new_tokens", 2)
    spied = Decoder(spy, pipe, vocab_size=VOCAB)
    seen.clear()
    spied.generate([[1, 2], [3, 4]], n=n, seed=1)
    assert seen[0] == rows
    assert seen[1] > rows
