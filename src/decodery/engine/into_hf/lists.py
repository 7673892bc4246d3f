"""`Pipeline.to_hf` and `Pipeline.to_hf_stopping`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.steps import Step, StrategyUse
from ..io.arguments import as_device, as_eos, as_ids, as_whole
from ..io.prompts import check_ids
from ..io.tokenizer import as_tokenizer
from ..rng import check_seed
from .facts import Told
from .layout import as_mask, mask_pads


def hf_processors(steps: Sequence[Step], use: StrategyUse, told: Told, on_bad_row: str) -> Any:
    """A `LogitsProcessorList` of the processors. Raises `InvalidInput` for what a processor cannot carry."""
    if use.spec.draw not in ("argmax", "categorical"):
        raise InvalidInput(
            f"strategy {use.spec.name!r} chooses in its own way, and a processor of generate's chooses nothing",
            remedy="model.generate(..., custom_generate=decodery.builtin.hf_bridge.custom_generate, recipe=...)",
        )
    if on_bad_row != "error":
        raise InvalidInput(
            f"on_bad_row: {on_bad_row} cannot be carried into generate, whose processors end no row",
            remedy="model.generate(..., custom_generate=decodery.builtin.hf_bridge.custom_generate, recipe=...)",
        )
    from .objects import RecipeLogitsProcessor, RecipeProcessors  # noqa: PLC0415  # lazy: transformers takes seconds

    return RecipeProcessors([RecipeLogitsProcessor(steps, use, told)])


def hf_criteria(steps: Sequence[Step], use: StrategyUse, told: Told) -> Any:
    """A `StoppingCriteriaList` of the stop rules."""
    from .objects import RecipeCriteria, RecipeStoppingCriteria  # noqa: PLC0415  # lazy, likewise

    return RecipeCriteria([RecipeStoppingCriteria(steps, use, told)])


HF_FACTS = (
    "attention_mask", "vocab_size", "eos_token_id", "pad_token_id", "tokenizer", "encoder_ids",
    "encoder_attention_mask", "max_length", "device", "seed",
)  # fmt: skip
"""What `Pipeline.to_hf` may be told by name."""


def read_facts(
    prompt: Tensor | None = None,
    *,
    compat: str | None,
    lengths: Sequence[Step],
    own_seed: int | None,
    attention_mask: Tensor | None = None,
    vocab_size: int | None = None,
    eos_token_id: int | Sequence[int] | None = None,
    pad_token_id: int | None = None,
    tokenizer: Any = None,
    encoder_ids: Tensor | None = None,
    encoder_attention_mask: Tensor | None = None,
    max_length: int | None = None,
    device: torch.device | str | None = None,
    seed: int | None = None,
) -> Told:
    """See `Pipeline.to_hf`. `lengths` are the stop rules that limit a row's length."""
    if attention_mask is not None:
        mask_pads(attention_mask)  # told now: inside `generate` the line that gave it is far away
    eos, pad = as_eos(eos_token_id), as_whole("pad_token_id", pad_token_id, 0)
    vocab_size = as_whole("vocab_size", vocab_size, 1)
    check_ids(vocab_size, eos_token_id=eos, pad_token_id=as_eos(pad))
    return Told(
        rectangle=compat == "hf",
        seed=own_seed if seed is None else check_seed(seed),
        lengths=tuple(lengths),
        prompt=None if prompt is None else as_ids(prompt),
        attention_mask=attention_mask,
        encoder_ids=None if encoder_ids is None else as_ids(encoder_ids),
        encoder_attention_mask=None
        if encoder_attention_mask is None
        else as_mask("encoder_attention_mask", encoder_attention_mask),
        eos=eos,
        pad=pad,
        vocab_size=vocab_size,
        tokenizer=None if tokenizer is None else as_tokenizer(tokenizer),
        max_length=as_whole("max_length", max_length, 1),
        device=None if device is None else as_device(device),
    )
