"""Sums over a whole row that truncations of a window need: mass, entropy, spread. In chunks, so that no temporary is as
large as the scores."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK = 16_384


def _chunks(scores: Tensor, temperature: float | Tensor | None) -> Iterator[Tensor]:
    for chunk in torch.split(scores, CHUNK, dim=-1):
        yield chunk if temperature is None else chunk / temperature


def log_mass(scores: Tensor, best: Tensor, temperature: float | Tensor | None = None) -> Tensor:
    """log of the sum of exp(x - best) over the row, x = score / temperature: (R, V), (R, 1) of x -> (R,) float64."""
    total: Tensor | float = 0.0
    for chunk in _chunks(scores, temperature):
        total = total + _chunk_mass(chunk, best)[0]
    return torch.as_tensor(total).log()


def entropy(scores: Tensor, best: Tensor, temperature: float | Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(log mass, entropy in nats), (R,) float64 each."""
    total: Tensor | float = 0.0
    moment: Tensor | float = 0.0
    for chunk in _chunks(scores, temperature):
        mass, probs = _chunk_mass(chunk, best)
        # A banned token's surprise counts for nothing; far below the best, neither does any other's.
        distance = (chunk - best).clamp_(min=-200.0)
        mean = torch.bmm(probs.unsqueeze(1), distance.unsqueeze(2)).view(-1).double()  # (R, 1, C) x (R, C, 1)
        total, moment = total + mass, moment + mass * torch.where(mass > 0, mean, 0.0)
    mass = torch.as_tensor(total)
    return mass.log(), mass.log() - torch.as_tensor(moment) / mass


def spread(scores: Tensor, best: Tensor, temperature: float | Tensor | None = None) -> Tensor:
    """The population's standard deviation over what is not banned: (R, V), (R, 1) -> (R,) float64."""
    count: Tensor | float = 0.0
    first: Tensor | float = 0.0
    second: Tensor | float = 0.0
    for chunk in _chunks(scores, temperature):
        distance = chunk - best
        allowed = distance > -torch.inf
        distance = distance.masked_fill_(~allowed, 0.0)
        count = count + allowed.sum(-1)
        first = first + distance.sum(-1).double()
        second = second + distance.square_().sum(-1).double()
    count = torch.as_tensor(count)
    return (torch.as_tensor(second) / count - (torch.as_tensor(first) / count).square()).clamp(min=0.0).sqrt()


def _chunk_mass(chunk: Tensor, best: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of exp(x - best) over a chunk, (R,) float64, and the chunk's own softmax (R, C).

    softmax is the fastest exponential that torch has: its greatest value is 1 / sum of exp(x - the chunk's best).
    """
    probs = chunk.softmax(-1)
    own = (chunk.amax(-1, keepdim=True) - best).squeeze(-1).double().exp()  # (R, 1) -> (R,)
    mass = own / probs.amax(-1).double()
    return torch.where(own > 0, mass, 0.0), probs  # a chunk without a token that counts is NaN
