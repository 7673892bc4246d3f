"""g-values: the mean and the weighted mean of SynthID Text, https://www.nature.com/articles/s41586-024-08025-4."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ...contracts.params import validate_params
from ...contracts.watermarks import Evidence, nothing
from ..hf_library import hf_class
from ..hf_params import SynthidWatermarkParams
from .evidence import Rows, as_rows, normal_tail


def detect_synthid_watermark(
    rows: Rows,
    *,
    vocab_size: int | None = None,
    prompts: Rows | None = None,
    device: torch.device | str = "cpu",
    mean: Literal["weighted", "plain"] = "weighted",
    **params: Any,
) -> list[Evidence]:
    """The mean g-value of the texts, by the parameters of the step `synthid_watermark` that may have written them.

    prompts     not looked at: the tournament knows generated tokens only. Nor is `vocab_size`
    device      where the text was made: torch draws another table on other devices
    mean        "weighted": the layers of the tournament count from 10 down to 1, since the first say most;
                "plain": alike

    A context that came before is not scored: the step left it unmarked. Without a watermark each entry of the table
    is 0 or 1 with equal chances, whatever the text, so the sum of those that it hits, each times the weight c that
    hits it, has mean sum(c) / 2 and variance sum(c^2) / 4; z and p follow. Raises `InvalidInput`, `InvalidParams`.
    """
    known: Any = validate_params("synthid_watermark", SynthidWatermarkParams, params)
    processor = hf_class("SynthIDTextWatermarkLogitsProcessor", "synthid_watermark")(
        ngram_len=known.ngram_len,
        keys=list(known.keys),
        sampling_table_size=known.sampling_table_size,
        sampling_table_seed=known.sampling_table_seed,
        context_history_size=known.context_history_size,
        device=torch.device(device),
    )
    depth = len(known.keys)
    weights = torch.linspace(10 if mean == "weighted" else 1, 1, depth, dtype=torch.float64)
    weights = weights / weights.sum()  # (D,)
    return [_evidence(processor, row[begin:].to(device), weights) for row, begin in as_rows(rows, prompts)]


def _evidence(processor: Any, row: Tensor, weights: Tensor) -> Evidence:
    """Of one text; row (T,) int64, weights (D,) float64 whose sum is 1."""
    if len(row) < processor.ngram_len:
        return nothing(0.5)
    ngrams = row.unsqueeze(0).unfold(1, processor.ngram_len, 1)  # (1, T) -> (1, N, L)
    fresh = processor.compute_context_repetition_mask(row.unsqueeze(0))[0]  # (N,) bool
    places = processor.compute_ngram_keys(ngrams)[0][fresh] % len(processor.sampling_table)  # (S, D)
    scored = len(places)
    if scored == 0:
        return nothing(0.5)
    shares = (weights / scored).expand(scored, -1)  # (D,) -> (S, D)
    counts = torch.zeros(len(processor.sampling_table), dtype=torch.float64)
    counts.index_add_(0, places.flatten().cpu(), shares.flatten())
    score = float((counts * processor.sampling_table.cpu()).sum())
    z = (score - 0.5) / (0.5 * float(counts.square().sum().sqrt()))
    told = f"g-values of {scored} tokens: mean {score:.3f}, 0.500 expected"
    return Evidence(scored, score, 0.5, z, normal_tail(z), told)
