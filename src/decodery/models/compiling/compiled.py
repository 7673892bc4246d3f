"""A model behind torch.compile, for calls with one token a row."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..calling import name_of

SHAPES = 64
"""Numbers of rows and cache lengths that a process may compile for. Beyond torch's own limit, 8, it would go on
uncompiled."""
_OWN_LIMIT = "recompile_limit" in inspect.signature(torch.compile).parameters
"""Whether a compiled model has a limit of its own, as in torch 2.13; in 2.11 each piece of code has one for all."""
_SMALLEST, _EVEN = 128, 1024


def room_for(length: int, most: int | None = None) -> int:
    """The cache length that stands for all texts of about that length, as every length is compiled for: the next
    power of two, from 1,024 on the next multiple of 1,024; `most` where the context ends before.
    """
    room = max(_SMALLEST, 1 << (length - 1).bit_length()) if length <= _EVEN else -(-length // _EVEN) * _EVEN
    return room if most is None else max(length, min(room, most))


class Compiled:
    """Called like `model`, which is compiled in its first call, and again for each number of rows and each cache
    length. Where that fails, no C++ compiler for example, the model is called as it is from then on, with a warning.
    """

    def __init__(self, model: Callable[..., Any], device: torch.device) -> None:
        self._model, self._options = model, _options(device)
        self._hearing = _Hearing()
        self._halves, self._on_cuda = False, device.type == "cuda"
        on_cpu = device.type == "cpu" and self._options is not None
        self._call = self._made(self._reading_halves if on_cpu else None)

    def heard(self, text: object, *given: Any, **named: Any) -> tuple[Any, list[Ran]]:
        """A call for `text`, which can be referred to weakly, and the graphs that it ran. In a text's first call
        weights are looked at closely, however they were changed."""
        hearing = self._hearing
        hearing.text, hearing.graphs = text, []
        try:
            return self(*given, **named), hearing.graphs
        finally:
            hearing.text = hearing.graphs = None

    def __call__(self, *given: Any, **named: Any) -> Any:
        if self._call is self._model:
            return self._model(*given, **named)
        # Late, as dynamo takes long to import; it is there once something has been compiled.
        from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415

        from .cpu.halves import NoLongerHalves  # noqa: PLC0415

        try:
            with self._circumstances():
                return self._call(*given, **named)
        except (TorchDynamoException, NoLongerHalves) as error:
            # What fails is the making of code, before it runs; parts that have run wrote what is written again.
            if self._halves:
                self._halves, self._call = False, self._made(None)
                return self(*given, **named)
            self._call = self._model
            cause = getattr(error, "inner_exception", error)
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            warnings.warn(
                f"compile: {name_of(self._model)} could not be compiled and runs as it is: {reason}",
                RuntimeWarning,
                stacklevel=2,
            )
            return self._model(*given, **named)

    def _circumstances(self) -> AbstractContextManager[Any]:
        """While a CUDA graph is captured nothing can be compiled: what would be compiled anew goes uncompiled."""
        set_stance = getattr(torch.compiler, "set_stance", None)  # since torch 2.6
        if self._on_cuda and set_stance is not None and torch.cuda.is_current_stream_capturing():
            return cast("AbstractContextManager[Any]", set_stance("eager_on_recompile"))
        if _OWN_LIMIT:
            return nullcontext()
        from torch._dynamo import config  # noqa: PLC0415 (late, as above)

        return cast("AbstractContextManager[Any]", config.patch(cache_size_limit=SHAPES))

    def _made(self, backend: Callable[..., Any] | None) -> Callable[..., Any]:
        wishes: dict[str, Any] = {"dynamic": False}
        if _OWN_LIMIT:
            wishes["recompile_limit"] = SHAPES
        if backend is None:
            return torch.compile(self._model, options=self._options, **wishes)
        return torch.compile(self._model, backend=backend, **wishes)

    def _reading_halves(self, traced: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        """Inductor's backend, given what can be read as halves."""
        # Late: inductor takes seconds to import.
        from torch._inductor.compile_fx import compile_fx  # noqa: PLC0415

        from .cpu.halves import Reading  # noqa: PLC0415
        from .cpu.reading_halves import reading_halves  # noqa: PLC0415

        graph, places, halves = reading_halves(traced, inputs)
        self._halves = self._halves or bool(places)
        run: Any = compile_fx(graph, [*inputs, *halves], config_patches=self._options)
        reading, hearing = Reading(places), self._hearing

        def ran(*given: Any) -> Any:
            gave = run(*given, *reading.fresh(given, hearing.text)) if places else run(*given)
            if hearing.graphs is not None:
                hearing.graphs.append(Ran(ran, given, gave))
            return gave

        return ran


@dataclass(eq=False, slots=True)
class Ran:
    """A graph, what it was given, and what it gave."""

    graph: Callable[..., Any]
    given: tuple[Any, ...]
    gave: Sequence[Any]


class _Hearing(threading.local):
    """The text that this thread's call is for, and the graphs that it has run."""

    text: object | None = None
    graphs: list[Ran] | None = None


def as_compiled_for(ids: Tensor) -> Tensor:
    """(B, K) int64 in its own rows: a slice of a longer text would be compiled for anew, for its stride."""
    return ids if ids.stride() == (ids.shape[1], 1) else ids.clone(memory_format=torch.contiguous_format)


def _options(device: torch.device) -> dict[str, Any] | None:
    """Inductor's, for this model alone."""
    if device.type not in ("cpu", "cuda"):
        return None
    try:
        # Late: inductor takes seconds to import.
        if device.type == "cuda":
            from torch._inductor import config  # noqa: PLC0415

            from .cuda.rewriting import OneTokenOnCuda  # noqa: PLC0415

            # What of a small step is independent, rotating query and key and writing the cache, is one launch.
            together = {"combo_kernels": True} if hasattr(config, "combo_kernels") else {}
            return {"post_grad_custom_post_pass": OneTokenOnCuda(), **together}
        from .cpu.rewriting import SumsForOneToken  # noqa: PLC0415
    except ImportError:  # torch before 2.6 has no such passes
        return None
    # Dynamo has looked at the arguments; looking at each buffer again takes a tenth of a small step.
    return {"post_grad_custom_post_pass": SumsForOneToken(), "size_asserts": False, **_contracted()}


def _contracted() -> dict[str, str]:
    """A product and its sum as one instruction, as in a library's products."""
    from torch._inductor import config  # noqa: PLC0415 (as above)

    name = "enable_floating_point_contract_flag"
    known = isinstance(getattr(config.cpp, name, None), str)  # an older torch knows on and off
    return {f"cpp.{name}": "fast"} if known else {}
