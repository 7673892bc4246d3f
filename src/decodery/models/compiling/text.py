"""One text's calls of a compiled model: what a CUDA graph is on a GPU, a graph that is run again is on a CPU.

Before its code runs torch.compile looks at all that it was made for, several hundred things of a small model, which
takes as long as some layers. Between two tokens of a text none of them changes but the tensors that a call is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .compiled import Compiled, Ran
from .cpu.halves import NoLongerHalves


class Text:
    """`compiled`, called for one text. `again` is for models whose steps are the same code on the same memory."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._repeat: _Repeat | None = None

    def __call__(self, *given: Any, **named: Any) -> Any:
        """As `Compiled`, which from now on can be called again like that."""
        self._repeat = None
        answer, graphs = self._compiled.heard(self, *given, **named)
        self._repeat = _repeat(graphs, answer, (*given, *named.values()), tuple(named))
        return answer

    def again(self, *given: Any, **named: Any) -> Any:
        """What the call gives, by the graph of the last one alone; None where that was another kind of call."""
        repeat = self._repeat
        if repeat is None or not repeat.fits(given, named):
            return None
        try:
            return repeat(given, named)
        except NoLongerHalves:
            self.forget()
            return None

    def forget(self) -> None:
        """The memory is another from now on."""
        self._repeat = None


class _Repeat:
    """One graph's run, with the places of what a call is given in what the graph was given."""

    def __init__(
        self, ran: Ran, places: list[list[int]], like: Sequence[Tensor], names: tuple[str, ...], answer: int
    ) -> None:
        self._graph, self._given, self._places, self._answer = ran.graph, list(ran.given), places, answer
        self._kinds, self._names = [_kind(tensor) for tensor in like], names

    def fits(self, given: tuple[Any, ...], named: dict[str, Any]) -> bool:
        tensors = (*given, *named.values())
        return (
            tuple(named) == self._names
            and len(tensors) == len(self._kinds)
            and all(
                isinstance(one, Tensor) and _kind(one) == kind
                for one, kind in zip(tensors, self._kinds, strict=True)
            )
        )

    def __call__(self, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        arguments = self._given.copy()
        for tensor, places in zip((*given, *named.values()), self._places, strict=True):
            for place in places:
                arguments[place] = tensor
        return self._graph(*arguments)[self._answer]


def _repeat(
    graphs: Sequence[Ran], answer: Any, given: tuple[Any, ...], names: tuple[str, ...]
) -> _Repeat | None:
    """None where more than one graph ran, or what it was given or gave is not what the call was and does."""
    if len(graphs) != 1 or not all(isinstance(one, Tensor) for one in given):
        return None
    (ran,) = graphs
    places = [[place for place, one in enumerate(ran.given) if one is tensor] for tensor in given]
    answers = [place for place, one in enumerate(ran.gave) if one is answer]
    # A tensor that the graph was not given may have been looked at by code that made other tensors of it.
    if not all(places) or not answers or not all(isinstance(one, Tensor) for one in ran.given):
        return None
    return _Repeat(ran, places, given, names, answers[0])


def _kind(tensor: Tensor) -> tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device
