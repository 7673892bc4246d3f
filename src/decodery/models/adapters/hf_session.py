"""One batch on a transformers model with its cache, fed exactly as its own `generate` feeds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ..calling import name_of
from ..compiling.compiled import room_for
from ..forward import Forward, check_context, one_by_one, refuse_mask, uniform_count
from ..hf_caches import counts_on_device, keeps_places, reorder_in_place, set_back
from ..inference import mend, ordinary, untouched
from ..state.tree import leaves

if TYPE_CHECKING:
    from .hf import HfModel

_FAR = 2**40


class HfSession:
    """A cache of the model's own kind, the mask (B, T) if anything is padded, the next positions (B, 1)."""

    def __init__(
        self,
        owner: HfModel,
        batch_size: int,
        length: int | None = None,
        model: Callable[..., Any] | None = None,
    ) -> None:
        self._owner = owner
        if length is not None and owner.compiled is not None:
            length = room_for(length, owner.facts.max_length)
        self._cache: Any = owner.new_cache(length)
        self._room, self._columns = (length or owner.facts.max_length or _FAR) if owner.static else _FAR, 0
        self._mask: Tensor | None = None
        self._each_step: dict[str, Any] = {}
        self._next = torch.zeros(batch_size, 1, dtype=torch.long, device=owner.facts.device)
        called: Any = owner.model if model is None else model
        inference = owner.inference and untouched(called)
        self._forward = Forward(
            called,
            owner.call,
            owner.evaluation,
            owner.facts.device,
            owner.width,
            owner.compiled if model is None else None,
            inference,
        )
        self.in_inference_mode = inference
        # Torch's own answer to whoever decodes in inference mode is left as it is.
        self._mends = called if inference and not torch.is_inference_mode_enabled() else None
        self._steady: dict[str, Any] | None = None  # what a step is given beside its token and place
        self._bare = owner.call.pick is None and owner.width is None
        # Before 5 a static cache counts the keys that are not 0, and those of a pad's embedding are.
        self._told_places = owner.static and "cache_position" in owner.call.accepts
        self._place: Tensor | None = None
        self._whole_mask: Tensor | None = None
        self._watched: tuple[int, ...] = ()
        self._hidden: Tensor | None = None

    def watch(self, layers: Sequence[int]) -> None:
        """Keep the outputs of these layers from now on; 0 are the embeddings, -1 is the last layer after its norm."""
        self._watched = tuple(layers)

    def hidden(self) -> Tensor:
        """(L, B, K, H): what the layers watched gave for the columns of the last call."""
        if self._hidden is None:
            raise ModelError("no layers were watched", remedy="call watch before the first forward")
        return self._hidden

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64, (B, T) 0 on left padding -> (B, V)."""
        device = self._owner.facts.device
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mask = mask.to(device=device, dtype=torch.long)
        # generation/utils.py, `_prepare_position_ids_for_generation`: padding is at position 0.
        positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)
        # The same file drops a mask of ones, which lets attention take its faster path and its rounding.
        self._mask = None if bool((mask == 1).all()) else mask
        if not self._owner.facts.capabilities.pads:
            refuse_mask(self._mask, self._owner.model)
        self._next = positions[:, -1:] + 1
        # What a prompt came with (pixels, token types ...) belongs to its call; what is attended to, to every call.
        self._each_step = {name: v for name, v in model_inputs.items() if name.startswith("encoder_")}
        return self._logits(input_ids, positions, 1, model_inputs)[:, -1]

    def step_last(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, V). One token a row, nothing padded and nothing watched is most of decoding: what `step`
        would work out anew is kept."""
        if (
            tokens.shape[1] > 1
            or self._mask is not None
            or self._watched
            or not self._bare
            or self._told_places
        ):
            return self.step(tokens)[:, -1]
        self._columns += 1
        if self._columns > self._room:
            check_context(self._columns, self._room, self._owner.model)
        if self._steady is None:
            self._steady = self._given(None, None, 1, self._each_step)
        positions, self._next = self._next, self._next + 1
        if "position_ids" in self._owner.call.accepts:
            self._steady["position_ids"] = positions
        output: Any = self._forward.run(tokens, self._steady)
        cache = getattr(output, self._owner.cache_argument, self._cache)
        if cache is not self._cache:
            self._cache, self._steady = cache, None
        logits: Any = getattr(output, "logits", None)
        known = isinstance(logits, Tensor) and logits.ndim == 3 and logits.shape[:2] == tokens.shape
        if not known or not logits.is_floating_point() or logits.device != tokens.device:
            logits = self._found(output, tokens, 1)
        logits = logits[:, -1]  # (B, 1, V) -> (B, V)
        return logits if self._mends is None or torch.is_inference_mode_enabled() else ordinary(logits)

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        if tokens.shape[1] > 1 and self._owner.recurrent:
            return torch.cat(
                [self.step(token) for token in one_by_one(tokens)], dim=1
            )  # K x (B, 1, V) -> (B, K, V)
        count = tokens.shape[1]
        if not self._owner.attends:
            # The state has swallowed the padding; nothing is left of it to be masked.
            self._mask = None
        positions = self._next
        if count > 1:
            positions = positions + torch.arange(count, device=positions.device)  # (B, 1) + (K,) -> (B, K)
        self._next = positions[:, -1:] + 1
        if self._mask is not None:
            # A long row ends with its context, and waits there for the shorter ones beside it.
            limit = self._owner.facts.max_length or _FAR
            self._mask = torch.cat([self._mask, (positions < limit).to(self._mask)], dim=1)
            positions = positions.clamp(max=limit - 1)
        return self._logits(tokens, positions, count, self._each_step)

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows."""
        rows = rows.to(self._next.device)
        self._steady = None
        with self._forward.mode():
            if self._owner.static and len(rows) == len(self._next):
                reorder_in_place(self._cache, rows)
            else:
                self._cache.reorder_cache(rows)
        self._each_step = {
            name: value[rows] if isinstance(value, Tensor) and len(value) == len(self._next) else value
            for name, value in self._each_step.items()
        }
        self._next = self._next[rows]
        self._mask = self._mask[rows] if self._mask is not None else None

    def held(self) -> int:
        """See `Session`."""
        return sum(leaf.nbytes for leaf in leaves(self._cache).values() if isinstance(leaf, Tensor))

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64: take that many tokens back; where the capability is "uniform", all equal."""
        can = self._owner.facts.capabilities.rewind
        if can == "none":
            raise ModelError(
                f"the cache of {name_of(self._owner.model)} cannot take tokens back: it keeps a window or a "
                "recurrent state, not all tokens",
                remedy="adapter='stateless' can, at the price of feeding the whole context each step",
            )
        if can == "ragged" and (self._mask is not None or len(set(counts.tolist())) > 1):
            self._leave_gaps(counts.to(self._next.device))
        elif count := uniform_count(counts):
            self._mask = self._mask[:, :-count] if self._mask is not None else None
            self._next = self._next - count
            self._crop(count)

    def _leave_gaps(self, counts: Tensor) -> None:
        """(B,) int64: hide that many of each row's newest tokens. What is hidden in every row leaves the cache."""
        mask = self._next.new_ones(len(counts), self._columns) if self._mask is None else self._mask
        # Of a row that was rewound before, some of its newest columns are hidden already.
        newer = mask.flip(1).cumsum(1).flip(1)  # (B, T): tokens from here to the end
        mask = mask.masked_fill(newer <= counts.unsqueeze(1), 0)
        kept = int((mask.any(0) * torch.arange(1, mask.shape[1] + 1, device=mask.device)).max())
        self._crop(mask.shape[1] - kept)
        mask = mask[:, :kept]
        self._mask = None if bool(mask.all()) else mask
        self._next = self._next - counts.unsqueeze(1)

    def _crop(self, count: int) -> None:
        if count:
            with self._forward.mode():
                # Negative: the number to remove, in every version of transformers.
                self._cache.crop(-count)
            self._columns -= count

    # -- in a graph -------------------------------------------------------------------------------------------

    def hold_place(self) -> None:
        """See `StaticSession`. A mask is laid out for the whole cache: causality hides what is not written yet."""
        self._next = self._next.clone()
        self._place = torch.tensor([self._columns], device=self._next.device) if self._told_places else None
        self._whole_mask = None
        if self._mask is not None:
            self._whole_mask = self._mask.new_ones(len(self._mask), self._room)
            self._whole_mask[:, : self._mask.shape[1]] = self._mask

    def tick(self, tokens: Tensor) -> Tensor:
        """(B, 1) int64 -> (B, V)."""
        logits = self._answer(tokens, self._next, 1, self._whole_mask, self._each_step, self._place)[:, -1]
        self._next.add_(1)
        if self._place is not None:
            self._place.add_(1)
        return logits

    @property
    def unticks(self) -> bool:
        """See `StaticSession`."""
        kept = self._owner.static and keeps_places(self._cache)
        return kept and (self._told_places or counts_on_device(self._cache))

    def untick(self, count: int) -> None:
        """The cache counts its columns in device memory, too, unless it is told them."""
        with self._forward.mode():
            self._next.sub_(count)
            if self._place is not None:
                self._place.sub_(count)
            if counts_on_device(self._cache):
                set_back(self._cache, count)

    def ticked(self, tokens: Tensor) -> None:
        """(B, K) int64."""
        self._columns += tokens.shape[1]
        check_context(self._columns, self._room, self._owner.model)
        if self._mask is not None:
            self._mask = self._whole_mask[:, : self._columns] if self._whole_mask is not None else None

    def close(self) -> None:
        self._cache = self._steady = None
        if self._mends is not None:
            mend(self._mends)
        self._forward.close()

    def _logits(self, ids: Tensor, positions: Tensor, columns: int, model_inputs: dict[str, Any]) -> Tensor:
        """(B, K) int64, (B, K) int64 -> (B, columns, V)."""
        self._columns += ids.shape[1]
        check_context(self._columns, self._room, self._owner.model)
        places = None
        if self._told_places:
            places = torch.arange(self._columns - ids.shape[1], self._columns, device=positions.device)
        return self._answer(ids, positions, columns, self._mask, model_inputs, places)

    def _answer(
        self,
        ids: Tensor,
        positions: Tensor,
        columns: int,
        mask: Tensor | None,
        model_inputs: dict[str, Any],
        places: Tensor | None,
    ) -> Tensor:
        """The model's own call."""
        inputs = self._given(mask, positions, columns, model_inputs)
        if places is not None:
            inputs["cache_position"] = places
        if self._watched:
            inputs["output_hidden_states"] = True
        output: Any = self._forward.run(ids, inputs)
        if self._watched:
            self._hidden = torch.stack([output.hidden_states[layer] for layer in self._watched])
        self._cache, self._steady = getattr(output, self._owner.cache_argument, self._cache), None
        logits = self._found(output, ids, columns)
        return logits.clone() if logits.is_inference() and self._mends is not None else logits

    def _given(
        self, mask: Tensor | None, positions: Tensor | None, columns: int, model_inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """What the model is called with beside the ids."""
        accepts, argument = self._owner.call.accepts, self._owner.cache_argument
        inputs: dict[str, Any] = {argument: self._cache, "use_cache": True, "return_dict": True}
        offered = {"attention_mask": mask, "position_ids": positions, "logits_to_keep": columns}
        inputs.update(
            {name: value for name, value in offered.items() if name in accepts and value is not None}
        )
        inputs.update(model_inputs)
        return inputs

    def _found(self, output: Any, ids: Tensor, columns: int) -> Tensor:
        """(B, columns, V), in an answer to ids (B, K)."""
        logits = self._forward.found_in(output, ids.shape[0], ids.shape[1])
        # A view would keep the logits of the whole prompt alive.
        return logits[:, -columns:].clone() if logits.shape[1] > columns else logits
