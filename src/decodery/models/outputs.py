"""Whatever a model returns -> logits (B, T', V)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..contracts.errors import InvalidInput, ModelError

REMEDY = (
    "wrap the model in a function that returns logits of shape (B, T, V), for example "
    "Decoder(lambda ids: model(ids)[...], vocab_size=...)"
)

NUMPY = "that is numpy's; make it a tensor: Decoder(lambda ids: torch.from_numpy(model(ids)), vocab_size=...)"


HIDDEN = "last_hidden_state"


def as_logits(
    output: object, batch: int, length: int, place: str = "the model", time_first: bool = False
) -> Tensor:
    """The logits in `output`, float (B, T', V), for ids of shape (batch, length).

    Takes a tensor, a tuple or list (its first float tensor that is not 0-d; equal 3-D chunks that add up to
    `length` are joined along T), an object with `.logits`, a mapping with "logits". Models may answer with
    all positions (B, T, V), or the last one only: (B, 1, V) or (B, V), which becomes (B, 1, V); (B * T, V) and,
    for one row, (V,) are unfolded. With `time_first` the answer is (T, B, V) or (T * B, V).
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
    logits = _unfolded(logits, batch, length, time_first)
    if logits.dim() != 3 or logits.shape[0] != batch or 0 in logits.shape:
        raise ModelError(
            f"{place} was given ids of shape ({batch}, {length}) and returned {describe(logits)}; "
            f"expected ({batch}, {length}, V), ({batch}, 1, V) or ({batch}, V)",
            remedy=_shape_remedy(logits, batch, length),
        )
    return logits


def _unfolded(logits: Tensor, batch: int, length: int, time_first: bool) -> Tensor:
    """A model's own layout -> (B, T', V) where its meaning is plain."""
    if logits.dim() == 1 and batch == 1:
        return logits.view(1, 1, -1)  # (V,) -> (1, 1, V)
    if logits.dim() == 2 and logits.shape[0] == batch:
        return logits.unsqueeze(1)  # (B, V) -> (B, 1, V)
    if logits.dim() == 2 and logits.shape[0] == batch * length:
        rows = (length, batch) if time_first else (batch, length)
        logits = logits.reshape(*rows, -1)  # (B * T, V) -> (B, T, V), or (T, B, V)
    return logits.transpose(0, 1) if time_first and logits.dim() == 3 else logits


def picked(output: object, pick: object) -> object:
    """What the option `logits` takes out of an answer: a key or attribute, an index, what a head makes of the hidden
    states, or what a function of the whole answer returns. Raises `ModelError` when it is not there."""
    try:
        if isinstance(pick, str):
            return output[pick] if isinstance(output, Mapping) else getattr(output, pick)
        if isinstance(pick, int):
            return output[pick]  # type: ignore[index]
        if isinstance(pick, nn.Module):
            return pick(_hidden(output))  # (B, T, D) -> (B, T, V)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise ModelError(
            f"logits={pick!r:.60} finds nothing in {describe(output)}: {type(error).__name__}: {error}",
            remedy="name a key or attribute, an index, the head as a module, or a function of the answer",
        ) from error
    if not callable(pick):
        raise InvalidInput(
            f"logits={pick!r:.60} is a {type(pick).__name__}",
            remedy="give a key or attribute, an index, the head as a module, or a function of the answer",
        )
    return pick(output)


def _hidden(output: object) -> object:
    """The hidden states in an answer: what a head is for."""
    named = output.get(HIDDEN) if isinstance(output, Mapping) else getattr(output, HIDDEN, None)
    if isinstance(output, Mapping) and named is None:
        named = next((v for v in output.values() if isinstance(v, Tensor) and v.is_floating_point()), None)
    return named if isinstance(named, Tensor) else _find(output, -1, -1)


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
        return "the model is time-first: say adapter={'time_first': True}"
    return REMEDY
