"""Whatever a model returns -> logits (B, T', V)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..contracts.errors import ModelError

REMEDY = (
    "wrap the model in a function that returns logits of shape (B, T, V), for example "
    "Decoder(lambda ids: model(ids)[...], vocab_size=...)"
)

NUMPY = "that is numpy's; make it a tensor: Decoder(lambda ids: torch.from_numpy(model(ids)), vocab_size=...)"


def as_logits(output: object, batch: int, length: int, place: str = "the model") -> Tensor:
    """The logits in `output`, float (B, T', V), for ids of shape (batch, length).

    Takes a tensor, a tuple or list (its first float tensor that is not 0-d; equal 3-D chunks that add up to
    `length` are joined along T), an object with `.logits`, a mapping with "logits". Models may answer with
    all positions (B, T, V), or the last one only: (B, 1, V) or (B, V), which becomes (B, 1, V).
    Raises `ModelError` naming what came instead.
    """
    logits = _find(output, batch, length)
    if logits is None:
        raise ModelError(
            f"{place} returned {describe(output)}, in which there are no logits",
            remedy=NUMPY if type(output).__module__ == "numpy" else REMEDY,
        )
    if logits.is_complex():
        raise ModelError(
            f"{place} returned {describe(output)}: complex numbers are not logits",
            remedy="hand over a function that returns real ones: Decoder(lambda ids: model(ids).real)",
        )
    if not logits.is_floating_point():
        raise ModelError(
            f"{place} returned {describe(output)}: whole numbers are token ids, not logits", remedy=REMEDY
        )
    if logits.dim() == 2 and logits.shape[0] == batch:
        logits = logits.unsqueeze(1)  # (B, V) -> (B, 1, V)
    if logits.dim() != 3 or logits.shape[0] != batch or 0 in logits.shape:
        raise ModelError(
            f"{place} was given ids of shape ({batch}, {length}) and returned {describe(logits)}; "
            f"expected ({batch}, {length}, V), ({batch}, 1, V) or ({batch}, V)",
            remedy=_shape_remedy(logits, batch, length),
        )
    return logits


def last(logits: Tensor) -> Tensor:
    """The newest position, float (B, T', V) -> (B, V). Never `[:, T - 1]`: there may be fewer positions."""
    return logits[:, -1]


def describe(value: object) -> str:
    """A value's type and shape, in a few words, for messages."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        keys = ", ".join(repr(key) for key in list(value)[:6])
        return f"a {type(value).__name__} with {f'the keys {keys}' if keys else 'nothing in it'}"
    if isinstance(value, (tuple, list)):
        items = ", ".join(describe(item) for item in value[:3]) + (", ..." if len(value) > 3 else "")
        return (
            f"a {type(value).__name__} of {len(value)} ({items})"
            if value
            else f"an empty {type(value).__name__}"
        )
    return f"{value!r}" if value is None else f"a {type(value).__name__}"


def _find(output: object, batch: int, length: int) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return named
    if isinstance(output, (tuple, list)):
        chunks = _joined(output, batch, length)
        if chunks is not None:
            return chunks
        # A 0-d tensor in front is a loss.
        return next(
            (t for t in output if isinstance(t, Tensor) and t.is_floating_point() and t.dim() > 0), None
        )
    return None


def _joined(items: Sequence[object], batch: int, length: int) -> Tensor | None:
    """Logits cut into chunks along T, float (B, t, V) each, as models with large vocabularies return them."""
    chunks = [
        item for item in items if isinstance(item, Tensor) and item.dim() == 3 and item.is_floating_point()
    ]
    if len(chunks) < 2 or len(chunks) != len(items):
        return None
    alike = all(chunk.shape[0] == batch and chunk.shape[2] == chunks[0].shape[2] for chunk in chunks)
    # Hidden states beside the logits are 3-D too, but then the lengths add up to more than the ids had.
    if not alike or sum(chunk.shape[1] for chunk in chunks) != length:
        return None
    return torch.cat(chunks, dim=1)  # n x (B, t, V) -> (B, T, V)


def _shape_remedy(logits: Tensor, batch: int, length: int) -> str:
    if logits.dim() == 3 and tuple(logits.shape[:2]) == (length, batch):
        return "the model is time-first; hand over lambda ids: model(ids.t()).transpose(0, 1)"
    if logits.dim() == 2 and logits.shape[0] == batch * length:
        return "the model flattens its batch; hand over lambda ids: model(ids).view(*ids.shape, -1)"
    return REMEDY
