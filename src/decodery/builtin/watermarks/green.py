"""Green tokens: the z-score of Kirchenbauer et al. 2023, https://arxiv.org/abs/2301.10226, section 3.1."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.params import validate_params
from ...contracts.watermarks import Evidence, nothing
from ..hf_library import hf_class
from ..hf_params import WatermarkParams
from .evidence import Rows, as_rows, binomial_tail


def detect_watermark(
    rows: Rows,
    *,
    vocab_size: int | None,
    prompts: Rows | None = None,
    device: torch.device | str = "cpu",
    repeated: bool = False,
    **params: Any,
) -> list[Evidence]:
    """How green the texts are, by the parameters of the step `watermark` that may have written them.

    vocab_size  the width of the scores that the step saw
    prompts     the ids in front of each text: not scored, but its first tokens were seeded by them
    device      where the text was made: torch draws other green lists on other devices
    repeated    count a token after the same seed each time, as the paper does first; by default once, since it
                says the same each time, and a text without a watermark that repeats itself would look like one

    z = (green - ratio x scored) / sqrt(scored x ratio x (1 - ratio)) is the paper's. p is exact, of the binomial
    distribution. Raises `InvalidInput` and `InvalidParams`.
    """
    if vocab_size is None:
        raise InvalidInput(
            "the model does not say how large its vocabulary is",
            remedy="give it an attribute vocab_size: green lists are drawn from all of it",
        )
    known: Any = validate_params("watermark", WatermarkParams, params)
    processor = hf_class("WatermarkLogitsProcessor", "watermark")(
        vocab_size,
        device,
        known.greenlist_ratio,
        known.bias,
        known.hashing_key,
        known.seeding_scheme,
        known.context_width,
    )
    found = []
    for row, begin in as_rows(rows, prompts):
        _check(row, vocab_size)
        counts = _counts(processor, row.to(device), begin, known, repeated)
        found.append(_evidence(*counts, known.greenlist_ratio, processor.greenlist_size / vocab_size))
    return found


def _counts(
    processor: Any, row: Tensor, begin: int, known: WatermarkParams, repeated: bool
) -> tuple[int, int]:
    """(scored, green) of the tokens from `begin` on; row (T,) int64."""
    own = known.seeding_scheme == "selfhash"  # there the token itself is the last one hashed
    scored = green = 0
    seen: dict[tuple[int, int], bool] = {}
    for place, token in enumerate(row.tolist()):
        if place < max(begin, known.context_width):
            continue  # the step leaves shorter texts alone
        processor.set_seed(row[: place + own])
        key = (processor.rng.initial_seed(), token)
        if key not in seen:
            order = torch.randperm(processor.vocab_size, generator=processor.rng, device=row.device)
            seen[key] = bool((order[: processor.greenlist_size] == token).any())
        elif not repeated:
            continue
        scored, green = scored + 1, green + seen[key]
    return scored, green


def _evidence(scored: int, green: int, ratio: float, chance: float) -> Evidence:
    if scored == 0:
        return nothing(ratio)
    z = (green - ratio * scored) / math.sqrt(scored * ratio * (1 - ratio))
    p = binomial_tail(green, scored, chance) if 0 < chance < 1 else 1.0
    told = f"{green} of {scored} tokens are green: {green / scored:.1%}, {ratio:.1%} expected"
    return Evidence(scored, green / scored, ratio, z, p, told)


def _check(row: Tensor, vocab_size: int) -> None:
    if len(row) and not 0 <= int(row.min()) <= int(row.max()) < vocab_size:
        raise InvalidInput(
            f"a text has ids outside the vocabulary of {vocab_size}",
            remedy="use the tokenizer and the model that it was made with",
        )
