"""What a run inside `generate` is told, and what it sees for itself when the first call comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.steps import Step
from ..rng import RowRng, fresh_seed, prompt_keys, torch_rng
from ..steps.bind import bind_steps
from ..steps.facts import Facts
from .layout import leading, mask_pads


@dataclass(frozen=True, slots=True)
class Told:
    """The facts that `to_hf` was given; see `Pipeline.to_hf`. `lengths` are the stop rules that limit a row's length,
    `texts` is how many texts the facts are of, None where none says."""

    rectangle: bool
    seed: int | None
    lengths: tuple[Step, ...]
    prompt: Tensor | None = None
    attention_mask: Tensor | None = None
    encoder_ids: Tensor | None = None
    encoder_attention_mask: Tensor | None = None
    eos: tuple[int, ...] = ()
    pad: int | None = None
    vocab_size: int | None = None
    tokenizer: Any = None
    max_length: int | None = None
    device: torch.device | None = None
    texts: int | None = field(init=False)

    def __post_init__(self) -> None:
        given = {
            name: len(value)
            for name in ("prompt", "attention_mask", "encoder_ids", "encoder_attention_mask")
            if (value := getattr(self, name)) is not None
        }
        if len(set(given.values())) > 1:
            said = ", ".join(f"{name} {count}" for name, count in given.items())
            raise InvalidInput(f"rows: {said}", remedy="give a row a text in each")
        object.__setattr__(self, "texts", next(iter(given.values()), None))

    @property
    def prompt_length(self) -> int | None:
        """The width of the prompt, where a fact says it."""
        shown = self.prompt if self.prompt is not None else self.attention_mask
        return None if shown is None else shown.shape[1]


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that begins with `prompt` columns. `pads` begin each row; `steps` (R,) int64 counts new tokens for the row
    generator."""

    facts: Facts
    rng: Any
    prompt: int
    pads: Sequence[int]
    steps: Tensor


def begin(told: Told, ids: Tensor, prompt: int) -> Begun:
    """(R, T) int64, the first ids that are shown, of which `prompt` columns are prompt.

    Raises `InvalidInput` where the facts are those of another batch.
    """
    rows, device = len(ids), ids.device if told.device is None else told.device
    texts = rows if told.texts is None else told.texts
    if not rows or not texts:
        raise InvalidInput("there are no rows to decode", remedy="give ids of shape (B, T), B at least 1")
    if rows % texts:
        raise InvalidInput(
            f"generate shows {rows} rows, and the facts are those of {texts}",
            remedy="pipe.to_hf(...) anew for another batch",
        )
    samples = (
        rows // texts
    )  # beams or returned sequences: transformers repeats the rows of a text side by side
    pads = _pads(told, ids[:, :prompt], samples)
    with torch.inference_mode(False):  # advanced in place, wherever the caller's loop runs
        steps = torch.zeros(rows, dtype=torch.int64, device=device)
    padding = torch.tensor(pads, device=device)
    full = torch.full_like(steps, prompt)
    encoder_lengths = _encoder_lengths(told, samples, device)
    rng = _rng(told, ids[:, :prompt], pads, encoder_lengths, samples, steps)
    facts = Facts(
        prompt_lengths=full if told.rectangle else full - padding,
        device=device,
        rng=rng,
        eos=told.eos,
        pad=told.pad,
        vocab_size=told.vocab_size,
        tokenizer=told.tokenizer,
        encoder_ids=_encoder_ids(told, samples, device),
        encoder_lengths=None if told.rectangle else encoder_lengths,
        prompt_index=torch.arange(texts, device=device).repeat_interleave(samples),
        padding=padding if told.rectangle and any(pads) else None,
        max_length=told.max_length,
    )
    return Begun(_with_limits(facts, told.lengths, told.rectangle), rng, prompt, pads, steps)


def _pads(told: Told, prompt: Tensor, samples: int) -> list[int]:
    """(R, T) int64 -> how many pads begin each row: by the mask, or, as transformers reads ids that come without one,
    the pad ids in front, unless they may be an end or a decoder's start."""
    if told.attention_mask is not None:
        if told.attention_mask.shape[1] != prompt.shape[1]:
            raise InvalidInput(
                f"attention_mask has {told.attention_mask.shape[1]} columns, the prompt that generate shows "
                f"{prompt.shape[1]}",
                remedy="give the mask of the ids that generate is given; an encoder's is encoder_attention_mask=",
            )
        return [pad for pad in mask_pads(told.attention_mask) for _ in range(samples)]
    if told.pad is None or told.pad in told.eos or told.encoder_ids is not None:
        return [0] * len(prompt)
    return leading(prompt, told.pad)


def _encoder_ids(told: Told, samples: int, device: torch.device) -> Tensor | None:
    """(B, S) -> (R, S)"""
    return None if told.encoder_ids is None else told.encoder_ids.to(device).repeat_interleave(samples, 0)


def _encoder_lengths(told: Told, samples: int, device: torch.device) -> Tensor | None:
    """(R,) int64: how many of each row's encoder ids are its own, its pads being on the right."""
    ids, mask = told.encoder_ids, told.encoder_attention_mask
    if ids is None:
        return None
    if mask is not None:
        seen = mask.to(ids.device) != 0
    elif told.pad is not None and told.pad not in told.eos:
        seen = ids.ne(told.pad)
    else:
        seen = torch.ones_like(ids, dtype=torch.bool)
    lengths = seen.sum(1)  # (B, S) -> (B,)
    own = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)  # (S,) < (B, 1) -> (B, S)
    if not torch.equal(seen, own):
        raise InvalidInput(
            f"encoder_attention_mask {tuple(seen.shape)} hides something else than the ends of encoder_ids "
            f"{tuple(ids.shape)}",
            remedy="pad the encoder's ids on the right",
        )
    return lengths.to(device).repeat_interleave(samples, 0)


def _rng(
    told: Told, prompt: Tensor, pads: Sequence[int], encoder: Tensor | None, samples: int, steps: Tensor
) -> Any:
    """What `Decoder` would draw from for the same rows."""
    rows, device = len(prompt), steps.device
    if told.rectangle:
        return torch_rng(rows, device, told.seed)
    texts = [row[pad:] for row, pad in zip(prompt.tolist(), pads, strict=True)][::samples]
    if told.encoder_ids is not None and encoder is not None:
        read = zip(told.encoder_ids.tolist(), encoder[::samples].tolist(), strict=True)
        texts = [[*ids[:length], -1, *text] for (ids, length), text in zip(read, texts, strict=True)]
    keys = prompt_keys(fresh_seed() if told.seed is None else told.seed, texts)
    numbers = torch.arange(samples, device=device).repeat(len(keys))
    return RowRng(torch.tensor(keys, device=device).repeat_interleave(samples), numbers, steps)


def _with_limits(facts: Facts, rules: Sequence[Step], rectangle: bool) -> Facts:
    """The length at which the recipe's own stop rules end each row, (R,) int64, where one says."""
    found = [
        instance.limit(facts.prompt_lengths)
        for rule in bind_steps(rules, facts, rectangle=True)
        for instance in rule.instances
    ]
    if facts.max_length is not None and not rectangle:  # transformers' own length does not know the context
        found.append((facts.prompt_lengths + 1).clamp(min=facts.max_length))
    return replace(facts, limits=torch.stack(found).amin(0)) if found else facts  # L x (R,) -> (R,)
