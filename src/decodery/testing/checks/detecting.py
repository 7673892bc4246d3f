"""What a detector of watermarks says of texts that nobody marked."""

from __future__ import annotations

import math

import torch

from ...contracts.params import param_values
from ...contracts.specs import StepSpec, StrategySpec, resolve
from ...contracts.watermarks import Detector, Evidence
from ..case import Case
from .check import check, require

VOCAB, TEXTS, LENGTH, CHANCE = 64, 256, 24, 0.02


@check("detector", remedy="judge each text by its own tokens; one that is too short has scored 0 and p 1")
def detects_row_by_row(case: Case) -> None:
    """Texts of any lengths beside one another get the evidence that each gets alone."""
    whole = _texts(4)
    rows = [row[:length] for row, length in zip(whole, (LENGTH, 0, 3, 17), strict=True)]
    together = _found(case, rows)
    require(len(together) == len(rows), f"gave {len(together)} answers for {len(rows)} texts")
    for row, evidence in zip(rows, together, strict=True):
        require(isinstance(evidence, Evidence), f"gave {type(evidence).__name__} instead of Evidence")
        require(0.0 <= evidence.p <= 1.0, f"gave p = {evidence.p}")
        alone = _found(case, [row])[0]
        require(alone == evidence, f"judges a text of {len(row)} tokens otherwise alone and beside others")
    empty = together[1]
    require((empty.scored, empty.p) == (0, 1.0), f"gave a text of no tokens p = {empty.p}")


@check("detector", remedy="p is how often a text without the watermark scores as high, or higher")
def random_text_is_seldom_marked(case: Case) -> None:
    """Of texts of tokens at random, no more than the threshold are called marked, up to chance."""
    marked = sum(evidence.is_marked(CHANCE) for evidence in _found(case, _texts(TEXTS)))
    unlikely = 1 - math.fsum(
        math.comb(TEXTS, hits) * CHANCE**hits * (1 - CHANCE) ** (TEXTS - hits) for hits in range(marked)
    )
    require(unlikely > 1e-6, f"calls {marked} of {TEXTS} random texts marked at p < {CHANCE}")


def _texts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(7)
    texts: list[list[int]] = torch.randint(0, VOCAB, (count, LENGTH), generator=generator).tolist()
    return texts


def _found(case: Case, rows: list[list[int]]) -> list[Evidence]:
    spec = case.spec
    if not isinstance(spec, StepSpec | StrategySpec) or spec.detector is None:
        raise TypeError(f"{spec.name!r} has no detector")
    detector: Detector = resolve(spec.detector, f"detector of {spec.name!r}")
    values = param_values(case.params)
    return list(detector(rows, vocab_size=VOCAB, prompts=None, device="cpu", **values))


CHECKS = (detects_row_by_row, random_text_is_seldom_marked)
