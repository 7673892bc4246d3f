"""llama.cpp's own sampler chain, through llama-cpp-python's C API, on the same logits: one thread each.

Its random numbers are others, so what is checked is that the same tokens survive. Filling its array of candidates,
which llama.cpp does anew at every step, is not in its time.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from decodery import Pipeline

from .measure import Comparison, backends, using
from .rows import logits

VOCAB, LAST = 151_936, 64
LEAST = {"native": 5.0}


def run(rounds: int = 40) -> Iterator[Comparison]:
    """Repetition penalty, top-k, top-p, temperature and the draw, in llama.cpp's order."""
    try:
        import llama_cpp  # noqa: PLC0415  # built from source, and nothing else needs it
    except ImportError as error:
        print(f"llama_cpp: skipped, {error} ('pip install llama-cpp-python' builds it)")
        return
    given = logits("lm", 1, VOCAB, seed=VOCAB)
    ids = torch.randint(0, VOCAB, (1, LAST), generator=torch.Generator().manual_seed(1))
    peer = _Chain(llama_cpp, given, ids)
    pipe = (
        Pipeline().add("repetition_penalty", 1.1).add("top_k", 50).add("top_p", 0.95).add("temperature", 0.8)
    )
    if peer.survivors() != set((pipe(ids, given) > -torch.inf)[0].nonzero().flatten().tolist()):
        raise SystemExit("llama.cpp's chain: other tokens survive")
    for backend in backends():
        with using(backend):
            bound = pipe.with_strategy("sample", seed=1).bind(ids)
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds):
            for _ in range(5):
                start = time.perf_counter()
                bound.pick(ids, given)
                ours.append(time.perf_counter() - start)
            theirs.append(peer.seconds())
        title = f"chain, V={VOCAB:,}, B=1, row generator"
        yield Comparison(
            title,
            backend,
            statistics.median(ours),
            "llama.cpp",
            statistics.median(theirs),
            LEAST.get(backend),
        )


class _Chain:
    """The chain and its candidates."""

    def __init__(self, api: Any, given: Tensor, ids: Tensor) -> None:
        self._api = api
        self._chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        for step in (
            api.llama_sampler_init_penalties(VOCAB, LAST, 1.1, 0.0, 0.0),
            api.llama_sampler_init_top_k(50),
            api.llama_sampler_init_top_p(0.95, 1),
            api.llama_sampler_init_temp(0.8),
            api.llama_sampler_init_dist(1),
        ):
            api.llama_sampler_chain_add(self._chain, step)
        for token in ids[0].tolist():
            api.llama_sampler_accept(self._chain, token)
        self._fresh = (api.llama_token_data * VOCAB)()
        for token, value in enumerate(given[0].tolist()):
            self._fresh[token].id, self._fresh[token].logit = token, value
        self._candidates = (api.llama_token_data * VOCAB)()

    def survivors(self) -> set[int]:
        array = self._apply()[0]
        return {array.data[place].id for place in range(array.size)}

    def seconds(self) -> float:
        """What one step takes, without filling the candidates."""
        return self._apply()[1]

    def _apply(self) -> tuple[Any, float]:
        ctypes.memmove(self._candidates, self._fresh, ctypes.sizeof(self._fresh))
        array = self._api.llama_token_data_array(data=self._candidates, size=VOCAB, selected=-1, sorted=False)
        start = time.perf_counter()
        self._api.llama_sampler_apply(self._chain, ctypes.byref(array))
        return array, time.perf_counter() - start
