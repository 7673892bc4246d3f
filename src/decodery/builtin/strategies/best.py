"""The best continuations of a prompt's beams, found among blocks of the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 128
"""Scores a block. torch's top-k of a whole row takes about four times as long on a CPU."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """C candidates a prompt: scores (P, C) float32, the beam (P, C) and the token (P, C) of each; the best first where
    they are `ranked`."""

    scores: Tensor
    beams: Tensor
    tokens: Tensor
    ranked: bool = True

    def take(self, kept: list[int]) -> Candidates:
        """Those of the prompts at these places alone."""
        at = torch.tensor(kept, device=self.scores.device)
        return Candidates(self.scores[at], self.beams[at], self.tokens[at], self.ranked)


def best_of_beams(values: Tensor, running: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(P, K, V) scores of tokens and (P, K) of beams -> (P, C) the greatest sums, the best first, and (P, C) int64
    their places in K x V. C is `count`, or K x V where that is less.

    The C best sums stand in the C blocks with the greatest ones: rounding keeps the order of what it is added to.
    """
    beams, vocabulary = values.shape[1:]
    blocks = vocabulary // BLOCK
    if values.device.type != "cpu" or beams * blocks <= 2 * count:
        sums = (values + running.unsqueeze(-1)).flatten(1)  # (P, K, V) -> (P, K x V)
        best, at = sums.topk(min(count, sums.shape[1]))
        return best, at
    body = values[..., : blocks * BLOCK].view(-1, beams, blocks, BLOCK)  # (P, K, V) -> (P, K, N, b)
    maxima = (body.amax(-1) + running.unsqueeze(-1)).flatten(1)  # (P, K, N) -> (P, K x N)
    chosen = maxima.topk(count, sorted=False).indices  # (P, C) of K x N
    beam, block = chosen // blocks, chosen % blocks
    prompts = torch.arange(len(values)).unsqueeze(1)  # (P, 1)
    sums = body[prompts, beam, block] + running.gather(1, beam).unsqueeze(-1)  # (P, C, b)
    places = (beam * vocabulary + block * BLOCK).unsqueeze(-1) + torch.arange(BLOCK)  # (P, C, 1) -> (P, C, b)
    sums, places = sums.flatten(1), places.flatten(1)  # -> (P, C x b)
    if blocks * BLOCK < vocabulary:
        rest = values[..., blocks * BLOCK :] + running.unsqueeze(-1)  # (P, K, V) -> (P, K, V - N x b)
        ids = torch.arange(blocks * BLOCK, vocabulary)
        ids = torch.arange(beams).unsqueeze(1) * vocabulary + ids  # (K, 1) -> (K, V - N x b)
        sums = torch.cat((sums, rest.flatten(1)), dim=1)
        places = torch.cat((places, ids.flatten().expand(len(values), -1)), dim=1)
    best, at = sums.topk(count)
    return best, places.gather(1, at)
