"""What the rows of a call start from: decoder prompts, the encoder's prompts, and further inputs of the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import EncoderFacts, ModelFacts, Tokenizer
from .encoder import EncoderPrompts, encoder_prompts, mask_rows
from .prompts import Prompts, as_token_lists, check_range

REFUSED = {
    "input_ids": "give them as prompts",
    "decoder_input_ids": "give them as decoder_prompts=",
    "decoder_attention_mask": "give decoder_prompts= of any lengths; they need no padding",
    "past_key_values": "a session makes its own",
    "cache": "a session makes its own",
}


@dataclass(frozen=True, slots=True)
class Given:
    """One entry a prompt each.

    prompts   the ids that the decoder goes on from
    encoder   the prompts that an encoder reads, None where there is none
    inputs    further inputs of the model by name; tensors whose first dimension is the number of prompts go
              with the rows, everything else is handed on as it is
    keys      what tells a prompt from the others, for its random numbers
    """

    prompts: Sequence[Sequence[int]]
    encoder: EncoderPrompts | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[Sequence[int]] = ()

    def model_inputs(self, n: int, device: torch.device) -> dict[str, Any]:
        """What a session's prefill is given beside the decoder's ids, each prompt's n times."""
        count = len(self.prompts)
        inputs = {
            name: value.repeat_interleave(n, dim=0) if _goes_with_rows(value, count) else value
            for name, value in self.inputs.items()
        }
        encoder = self.encoder
        if encoder is not None:
            inputs["encoder_ids"] = encoder.ids.repeat_interleave(n, dim=0).to(device)  # (P, S) -> (R, S)
            if encoder.mask is not None:
                inputs["encoder_mask"] = encoder.mask.repeat_interleave(n, dim=0).to(device)
        return inputs


def as_given(
    prompts: Prompts | None,
    model_inputs: Mapping[str, Any] | None,
    decoder_prompts: Prompts | None,
    *,
    facts: ModelFacts,
    tokenizer: Tokenizer | None,
    bos: int | None,
    eos: Sequence[int],
    pad: int | None,
    rectangle: bool,
) -> Given:
    """The arguments of `generate`, checked and made into ids. Raises `InvalidInput`.

    `rectangle` is transformers' own layout, which keeps the encoder's prompts padded as they came.
    """
    inputs = _checked(model_inputs)
    mask = inputs.pop("attention_mask", None) if prompts is not None else None
    encoder = facts.encoder
    if encoder is None:
        if decoder_prompts is not None:
            raise InvalidInput(
                "decoder_prompts= was given, but the model has no encoder", remedy="give them as prompts"
            )
        ids = as_token_lists(() if prompts is None else prompts, tokenizer, bos)
        if mask is not None:
            ids = _unpadded(ids, mask)
        check_range(ids, facts.vocab_size, facts.max_length)
        return Given(ids, None, inputs, _keys(ids, inputs))
    read = None
    if prompts is None:
        # Of the features; the decoder's own mask has that name where the model is called.
        inputs = {
            "encoder_mask" if name == "attention_mask" else name: value for name, value in inputs.items()
        }
    else:
        if not encoder.takes_ids:
            raise InvalidInput(
                "the model's encoder reads features, no text",
                remedy="give them as model_inputs={...}; text that the decoder goes on from is decoder_prompts=",
            )
        lists = as_token_lists(prompts, tokenizer, bos)
        check_range(lists, encoder.vocab_size, encoder.max_length)
        left = getattr(getattr(tokenizer, "inner", None), "padding_side", "right") == "left"
        read = encoder_prompts(lists, mask, eos=eos, pad=pad, rectangle=rectangle, left=left)
    count = len(read.rows) if read is not None else _count(inputs, encoder)
    starts = _starts(decoder_prompts, count, encoder.start, tokenizer)
    check_range(starts, facts.vocab_size, facts.max_length)
    ids = (
        starts if read is None else [[*row, -1, *start] for row, start in zip(read.rows, starts, strict=True)]
    )
    return Given(starts, read, inputs, _keys(ids, inputs))


def _checked(model_inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    if model_inputs is None:
        return {}
    if not isinstance(model_inputs, Mapping) or not all(isinstance(name, str) for name in model_inputs):
        raise InvalidInput(
            f"model_inputs is {model_inputs!r:.60}", remedy="give a dict: the model's argument -> its value"
        )
    for name, remedy in REFUSED.items():
        if name in model_inputs:
            raise InvalidInput(f"model_inputs[{name!r}] is not for this place", remedy=remedy)
    return dict(model_inputs)


def _unpadded(prompts: Sequence[Sequence[int]], mask: Any) -> list[list[int]]:
    """The prompts less the ids that `mask` (P, T) hides: the engine pads for itself."""
    rows = mask_rows(prompts, mask)
    kept = [
        [token for token, seen in zip(*pair, strict=True) if seen] for pair in zip(prompts, rows, strict=True)
    ]
    for row, ids in enumerate(kept):
        if not ids:
            raise InvalidInput(f"prompt {row} is hidden by attention_mask as a whole")
    return kept


def _count(inputs: Mapping[str, Any], encoder: EncoderFacts) -> int:
    """How many prompts features stand for."""
    for value in inputs.values():
        if isinstance(value, Tensor) and value.ndim > 1 and len(value):
            return len(value)
    if encoder.takes_ids:
        raise InvalidInput("no prompts were given", remedy="give a text, a list of texts, or token ids")
    raise InvalidInput(
        "no features were given", remedy="model_inputs={'input_features': a tensor with a row a prompt}"
    )


def _starts(
    decoder_prompts: Prompts | None, count: int, start: int | None, tokenizer: Tokenizer | None
) -> list[list[int]]:
    """The decoder's prompts, one a row; each begins with the start token, where the model says which that is."""
    if decoder_prompts is None:
        if start is None:
            raise InvalidInput(
                "the model does not say which token its decoder starts with",
                remedy="give decoder_prompts=, or adapter={'name': ..., 'decoder_start_token_id': ...}",
            )
        return [[start]] * count
    lists = as_token_lists(decoder_prompts, tokenizer, start, special=False)
    if len(lists) == 1:
        lists = lists * count
    if len(lists) != count:
        raise InvalidInput(
            f"{len(lists)} decoder prompts for {count} prompts", remedy="give one, or one a prompt"
        )
    # As transformers does: it was trained to begin so. Whisper's may have earlier text in front of it.
    return [ids if start is None or start in ids else [start, *ids] for ids in lists]


def _goes_with_rows(value: Any, count: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == count


def _keys(ids: Sequence[Sequence[int]], inputs: Mapping[str, Any]) -> list[list[int]]:
    """A prompt's ids, and a digest of the features that came with it."""
    along = [value for _, value in sorted(inputs.items()) if _goes_with_rows(value, len(ids))]
    return [[*row, *(_digest(value[place]) for value in along)] for place, row in enumerate(ids)]


def _digest(features: Tensor) -> int:
    """A number for the contents of a tensor, whatever its device; negative, as no token id is."""
    data = features.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return -2 - int.from_bytes(hashlib.blake2b(data, digest_size=7).digest(), "little")
