"""Every family of the zoo: how it is built, who has to drive it, and the one line that some need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import zoo
import zoo_more
import zoo_state
from torch import Tensor

Truth = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Family:
    """build() -> (model, truth), the logits of the whole text; `line(model)` -> what `Decoder` is given instead."""

    name: str
    adapter: str
    build: Callable[[], tuple[Any, Truth]]
    line: Callable[[Any], dict[str, Any]] | None = None
    context: int | None = zoo.CONTEXT

    def arguments(self) -> tuple[dict[str, Any], Truth]:
        """(arguments of `Decoder`, the truth)."""
        model, truth = self.build()
        return {"model": model, **(self.line(model) if self.line else {})}, truth


def of(cls: Any) -> Callable[[], tuple[Any, Truth]]:
    def build() -> tuple[Any, Truth]:
        model = cls()
        plain = model.plain if hasattr(cls, "batch_first") or cls is zoo_more.Rwkv else _body(model)
        return model, torch.no_grad()(plain)

    return build


def _body(model: zoo.Body) -> Truth:
    return lambda ids: zoo.Body.plain(model, ids)


def made(make: Any) -> Callable[[], tuple[Any, Truth]]:
    def build() -> tuple[Any, Truth]:
        function, model = make()
        return function, torch.no_grad()(_body(model))

    return build


ALONE = [
    *(Family(cls.__name__, "stateless", of(cls)) for cls in (
        zoo.NanoGPT, zoo.DictGPT, zoo.SameMemory, zoo.NoCacheRequired, zoo.TimeFirst, zoo_more.MinGPT,
        zoo_more.Llama2C, zoo_more.SequenceFirst)),
    *(Family(cls.__name__, "input_pos", of(cls)) for cls in (
        zoo.GptFast, zoo.Demo, zoo.LitGPT, zoo.LitLlama, zoo.MetaLlama, zoo.SingleToken, zoo_more.MaskedFirst,
        zoo_more.TorchTune)),
    *(Family(cls.__name__, "state", of(cls)) for cls in (
        zoo_state.Fms, zoo_state.Minimind, zoo_state.Olmo, zoo_state.Graykode, zoo_state.DictState,
        zoo_state.WithStart, zoo_state.Intermediates)),
    *(Family(cls.__name__, "state", of(cls), context=None) for cls in (
        zoo_state.CharRnn, zoo_state.WordLanguageModel, zoo_state.OldLstm, zoo_state.OneToken, zoo_state.MinGru,
        zoo_state.RetNet, zoo_state.MambaParams)),
    Family("UseCache", "flag", of(zoo_more.UseCache)),
    Family("HalfReset", "flag", of(zoo_more.HalfReset)),
    Family("Mamba", "step", of(zoo_more.Mamba), context=None),
    Family("XLstm", "step", of(zoo_more.XLstm), context=None),
    Family("Unbatched", "rows", of(zoo.Unbatched)),
    Family("Rwkv", "rows", of(zoo_more.Rwkv), context=None),
    Family("llama2_c", "rows", made(zoo_more.llama2_c), context=None),
    Family("with_position", "input_pos", made(zoo_more.with_position), context=None),
]  # fmt: skip
ONE_LINE = [
    Family("ObjectCache", "state", of(zoo_state.ObjectCache), lambda m: {"adapter": {"state": zoo_state.MyCache}}),
    Family("Headless", "stateless", of(zoo_more.Headless), lambda m: {"adapter": {"logits": m.head}}),
    Family("MaskRequired", "stateless", of(zoo_more.MaskRequired),
           lambda m: {"model": lambda ids: m(ids, zoo_more.causal(ids)), "max_length": zoo.CONTEXT}),
]  # fmt: skip
FAMILIES = [*ALONE, *ONE_LINE]
