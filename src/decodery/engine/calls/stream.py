"""A generation as it comes: events one after another, for a loop, for `async for`, or for a callback."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

from ..io.generation import Generation
from ..io.rows import Event
from .call import Call


class Stream:
    """An iterator of `Event`s, also for `async for`. `result` is the `Generation`, complete once it is exhausted."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._events: Generator[Event, None, None] = call.events()
        self._thread: ThreadPoolExecutor | None = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Event:
        """The next event, the model running in a thread of the stream's own, so that the event loop is free."""
        if self._thread is None:
            # One thread for all events: a model with one cache gives it to the thread that used it last.
            self._thread = ThreadPoolExecutor(1, "decodery-stream")
        event = await asyncio.get_running_loop().run_in_executor(self._thread, next, self._events, None)
        if event is None:
            self._end_thread()
            raise StopAsyncIteration
        return event

    def close(self) -> None:
        """End the stream and give the model's session back; `with decoder.stream(...) as stream:` does it too."""
        if self._thread is not None:
            self._thread.submit(self._events.close).result()
            self._end_thread()
        else:
            self._events.close()

    async def aclose(self) -> None:
        """The same where an event loop runs; `async with decoder.stream(...) as stream:` does it too."""
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._events.close)
            self._end_thread()
        else:
            self._events.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def result(self) -> Generation:
        """What was decoded so far; rows that are not finished say "interrupted"."""
        return self._call.result()

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None
