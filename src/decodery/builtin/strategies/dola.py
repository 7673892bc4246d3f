"""DoLa: the last layer against an earlier one (Chuang et al. 2023, arXiv 2309.03883), as transformers 4.55 did it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput, ModelError
from ...contracts.protocols import Run

RELATIVE_TOP = 0.1
"""Tokens less likely than this share of the best one's probability are banned."""


class DoLa:
    """At each step the earlier layer whose distribution differs most from the last one's is taken away from it.

    `layers` is "low", "high" or a list of layers (0: the embeddings). A row chooses its own layer; in `compat: hf` the
    whole batch chooses one, as transformers had it.
    """

    def __init__(self, *, layers: Literal["low", "high"] | tuple[int, ...], do_sample: bool) -> None:
        self.layers, self.do_sample = layers, do_sample

    def decode(self, run: Run) -> Iterator[None]:
        """Raises `ModelError` for a model that does not tell its hidden states and for an encoder-decoder,
        `InvalidInput` where it has none of the layers."""
        if run.model.encoder is not None:
            raise ModelError(
                "dola reads the early layers of a decoder alone, and this model is an encoder-decoder",
                remedy="use another strategy: contrastive looks at hidden states and takes encoder-decoders",
            )
        layers = premature_layers(self.layers, run.model.layers or 0, run.model.tied)
        if not layers and run.model.layers:
            raise InvalidInput(
                f"dola's layers {list(self.layers)} of a model with {run.model.layers}",
                remedy="name one below the last, or 'low' or 'high'",
            )
        while not run.done:
            early = run.head(run.hidden(layers, newest=1)[:, :, 0]).float()  # (L, R, H) -> (L, R, V)
            scores = run.scores(contrasted(run.logits().float(), early, together=run.rectangle))
            run.append(run.rng.categorical(scores) if self.do_sample else scores.argmax(-1))
            yield


def premature_layers(layers: str | Sequence[int], depth: int, tied: bool) -> list[int]:
    """Which layers are candidates in a model of `depth` layers: every second one of the lower or the upper half, of the
    first or the last twenty where there are more than 40.

    With tied embeddings the lowest layers say the input token again and are left out.
    """
    if not isinstance(layers, str):
        return [layer for layer in layers if layer < depth]
    if layers == "high":
        return list(range(depth // 2 if depth <= 40 else depth - 20, depth, 2))
    start = min(2, depth - 1) if tied and depth > 1 else 0
    if start == depth // 2:
        return [start]
    return list(range(start, depth // 2 if depth <= 40 else 20, 2))


def contrasted(final: Tensor, early: Tensor, *, together: bool) -> Tensor:
    """(R, V) of the last layer, (L, R, V) of the candidates -> (R, V) scores, implausible tokens banned.

    The candidate is the one of greatest Jensen-Shannon divergence, of each row or of the rows' mean.
    """
    base = early[0]
    if len(early) > 1:
        divergence = jensen_shannon(final, early)  # (L, R)
        if together:
            base = early[divergence.mean(-1).argmax()]
        else:
            best = divergence.argmax(0).view(1, -1, 1).expand(1, -1, early.shape[-1])
            base = early.gather(0, best).squeeze(0)  # (L, R, V) -> (R, V)
    final, base = final.log_softmax(-1), base.log_softmax(-1)
    implausible = final < final.amax(-1, keepdim=True) + final.new_tensor(RELATIVE_TOP).log()
    return (final - base).masked_fill(implausible, -torch.inf)


def jensen_shannon(final: Tensor, early: Tensor) -> Tensor:
    """(R, V), (L, R, V) logits -> (L, R), over V like transformers: the order of candidates is what counts."""
    mean = 0.5 * (final.softmax(-1) + early.softmax(-1))
    first = torch.nn.functional.kl_div(final.log_softmax(-1).expand_as(mean), mean, reduction="none").mean(-1)
    second = torch.nn.functional.kl_div(early.log_softmax(-1), mean, reduction="none").mean(-1)
    return 0.5 * (first + second)
