"""Models with positions and an internal KV cache: `model(x, input_pos=...)`, or `start_pos=` as a number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from ...contracts.errors import ModelError
from ...contracts.protocols import Options
from ..caches import CacheControl
from ..calling import Form, module_of, name_of, read_call
from ..options import check_options
from ..state.names import state_argument
from .internal import OWN, InternalModel, InternalSession
from .masks import MASKS, mask_named

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
        given: dict[str, Any] = {self.position: start}
        device = self._facts.device
        if self.position_kind == "places":
            given[self.position] = torch.arange(start, start + count, device=device)  # (K,)
        if self.mask_kind:
            size = self._cache_length(session)
            rows = session.rows
            given[self.mask_argument] = MASKS[self.mask_kind](rows, start, count, size, device)
        return given

    def _settle_one_way(
        self, options: Options, ways: list[tuple[tuple[bool, Form], str, str]], bare: bool
    ) -> None:
        """The first way of calling with which the model answers, and answers truly."""
        first: ModelError | None = None
        for (single, form), kind, mask in ways:
            self.single, self.position_kind, self.mask_kind = single, kind, mask
            self.call = replace(self.call, form=form)
            try:
                self.settle(options, self.plain_call() if bare else None)
            except ModelError as error:
                # The plainest way's error is the one to read.
                first = first or error
                continue
            return
        if first is not None:
            raise first

    def _cache_length(self, session: InternalSession) -> int:
        """As the module notes it, since some round it up; else as it was asked for."""
        noted = [getattr(self.module, name, None) for name in ("max_seq_length", "decoder_max_cache_seq_len")]
        sizes = [size for size in noted if isinstance(size, int) and size >= session.capacity]
        return sizes[0] if sizes and self.cache.sized else session.capacity


def _position_of(accepted: frozenset[str]) -> str:
    return next((name for name in POSITIONS if name in accepted), "")
