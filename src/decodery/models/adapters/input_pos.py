"""Models with positions and an internal KV cache: `model(x, input_pos=...)`, or `start_pos=` as a number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import Options
from ..caches import CacheControl
from ..calling import Form, module_of, name_of, read_call
from ..compiling.compiled import Compiled
from ..forward import check_context
from ..inference import plain_module
from ..options import check_options
from ..probing.verify import Truth, ticks_hold
from ..state.names import state_argument
from .internal import OWN, Disagrees, InternalModel, InternalSession
from .masks import IN_GRAPHS, MASKS, mask_named

POSITIONS = {"input_pos": "places", "start_pos": "number", "cache_position": "places", "position": "either",
             "pos": "either"}  # fmt: skip
"""Argument -> what it wants: the place of each token, LongTensor (K,), or the first one as a number."""
SURE = ("input_pos", "start_pos")


def probe(model: object, options: Options) -> str | None:
    """A callable whose signature has `input_pos` or `start_pos`, and no argument for a state."""
    if not callable(model) or inspect.isclass(model):
        return None
    call, control = read_call(model), CacheControl(module_of(model))
    name = _position_of(call.accepts)
    if not name or (name not in SURE and module_of(model) is not None and not control.found):
        return None
    if state_argument(call, options) and not control.sized:
        return None
    return f"{name_of(model)}{call.shown} takes {name}; {control.evidence()}"


class InputPosModel(InternalModel):
    """`model(x, input_pos=...)` with a cache of its own, verified here; see `InternalModel` for the options.

    A `mask` that the signature insists on, or that the model wants once its cache is set up, is tried in the forms
    that projects use. Raises `ModelError` when cache and context disagree, or when a call fails.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        options: Options,
        *,
        rows: int = 2,
        forms: Sequence[tuple[bool, Form]] = ((False, "batch"),),
    ) -> None:
        check_options(options, "input_pos", OWN)
        self._compiles = options.get("compile") == "full"
        super().__init__(model, options, rows)
        self.position = _position_of(self.call.accepts)
        self.called = f"takes {self.position}"
        self.mask_argument = mask_named(self.call.accepts)
        missing = [name for name in self.call.required if name not in (self.position, self.mask_argument)]
        if not self.position or missing:
            raise ModelError(
                f"{name_of(model)}{self.call.shown} does not take ids and input_pos or start_pos alone",
                remedy="hand over a function f(ids, input_pos) that fills it in, or say adapter='stateless'",
            )
        bare = not set(self.call.required) & {self.position, self.mask_argument}
        needs_mask = self.mask_argument in self.call.required
        masks = list(MASKS) if needs_mask else ["", *MASKS] if self.mask_argument else [""]
        wanted = POSITIONS[self.position]
        kinds = ["number", "places"] if wanted == "either" else [wanted]
        self._settle_one_way(options, list(product(forms, kinds, masks)), bare)

    def arguments(self, session: InternalSession, start: int, count: int) -> dict[str, Any]:
        """Positions, and the mask if there is one."""
        places = torch.arange(start, start + count, device=self._facts.device)
        given = self.arguments_at(session, places)
        return given if self.position_kind == "places" else {**given, self.position: start}

    def arguments_at(self, session: InternalSession, places: Tensor) -> dict[str, Any]:
        """The same for tokens at `places` (K,) int64."""
        given: dict[str, Any] = {self.position: places}
        if self.mask_kind:
            size = self._cache_length(session)
            given[self.mask_argument] = MASKS[self.mask_kind](session.rows, places, size)
        return given

    def open(self, batch_size: int, length: int | None) -> InputPosSession:
        return InputPosSession(self, batch_size, length)

    def try_ticks(self, truth: Truth) -> None:
        if self._may_tick() and ticks_hold(self.open, truth):
            can = replace(self._facts.capabilities, static=True)
            self._facts = replace(self._facts, capabilities=can)
            if self._compiles:
                self.compiled = Compiled(self.model, self._facts.device)
                self.repeats = plain_module(self.model)

    def _may_tick(self) -> bool:
        """The cache is allocated once, and all that a step is given can be made on the device."""
        handling = self.handling
        return (
            self.cache.sized
            and self.position_kind == "places"
            and self.call.form == "batch"
            and self.mask_kind in ("", *IN_GRAPHS)
            and not (handling.grows or handling.counts)
        )

    def _settle_one_way(
        self, options: Options, ways: list[tuple[tuple[bool, Form], str, str]], bare: bool
    ) -> None:
        """The first way of calling with which the model answers, and answers truly."""
        failures: list[ModelError] = []
        for (single, form), kind, mask in ways:
            self.single, self.position_kind, self.mask_kind = single, kind, mask
            self.call = replace(self.call, form=form)
            try:
                self.settle(options, self.plain_call() if bare else None)
            except ModelError as error:
                failures.append(error)
                continue
            return
        # A cache that was reached and lied tells most; else the plainest way's error is the one to read.
        raise next((error for error in failures if isinstance(error, Disagrees)), failures[0])

    def _cache_length(self, session: InternalSession) -> int:
        """As the module notes it, since some round it up; else as it was asked for."""
        noted = [getattr(self.module, name, None) for name in ("max_seq_length", "decoder_max_cache_seq_len")]
        sizes = [size for size in noted if isinstance(size, int) and size >= session.capacity]
        return sizes[0] if sizes and self.cache.sized else session.capacity


class InputPosSession(InternalSession):
    """Its place can be kept in device memory, where a graph moves it on; see `StaticSession`."""

    _owner: InputPosModel
    _place: Tensor

    def hold_place(self) -> None:
        self._place = torch.tensor([self._ids.shape[1]], device=self._ids.device)

    def tick(self, tokens: Tensor) -> Tensor:
        """(B, 1) int64 -> (B, V)."""
        with self._owner.turns.using(self._turn):
            given = self._owner.arguments_at(self, self._place)
            logits = self._forward.logits(tokens, 1, given)[:, -1]
        self._place.add_(1)
        return logits

    @property
    def unticks(self) -> bool:
        """See `StaticSession`."""
        return self._owner.rewinds != "replay"

    def untick(self, count: int) -> None:
        """What lies beyond the place is overwritten: tried with `rewind`."""
        self._place.sub_(count)

    def ticked(self, tokens: Tensor) -> None:
        """(B, K) int64."""
        self._ids = torch.cat((self._ids, tokens), dim=1)  # (B, T) + (B, K) -> (B, T + K)
        check_context(self._ids.shape[1], self._owner.facts.max_length, self._owner.model)


def _position_of(accepted: frozenset[str]) -> str:
    return next((name for name in POSITIONS if name in accepted), "")
