"""A function of device memory, captured: warmed up by real steps, then replayed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

WARM = 2
"""Steps before the first capture of a kind: kernels are compiled and workspaces allocated in them."""


class Captured:
    """Each call is one step. On a device without graphs the function itself is called. `generators` are those that the
    function draws from; `warm` says how many calls come before the capture."""

    def __init__(
        self,
        body: Callable[[], None],
        device: torch.device,
        generators: Sequence[torch.Generator] = (),
        warm: int = WARM,
    ) -> None:
        self._body, self._device, self._generators, self._warm = body, device, generators, warm
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self._device.type != "cuda":
            self._body()
            return
        if self._calls < self._warm:
            self._aside()
        else:
            if self._graph is None:
                self._graph = self._captured()
            self._graph.replay()
        self._calls += 1

    def _aside(self) -> None:
        """On another stream, as a capture will: what is allocated there belongs to it."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            self._body()
        torch.cuda.current_stream(self._device).wait_stream(stream)

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        with _nothing_collected(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._body()
        return graph


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """A graph of an earlier run that Python's collector finds in the middle of a capture would end it: CUDA destroys no
    graph there."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
