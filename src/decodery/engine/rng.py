"""Random numbers that belong to a row: counter-based, without state.

`uniform(row_key, sample, step, purpose)` is Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"), so a row's draws do not depend on the batch it is in, on its place there, or on what was drawn before.
`compat: hf` uses torch's generator instead, in transformers' order and amount.
"""

from __future__ import annotations

import hashlib
import operator
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput
from ..kernels.draw import inverse_cdf, multinomial

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_FEW = 32
"""So many rows are faster one by one on the host."""


def philox(counter: Tensor, key: Tensor) -> Tensor:
    """Philox 4x32-10. counter (4, R), key (2, R), int64 holding 32 unsigned bits each -> (4, R) likewise."""
    even, odd = counter[0::2], counter[1::2]  # (4, R) -> 2 x (2, R)
    multipliers, weyl = _constants(counter.device)
    for _ in range(10):
        # 32 x 32 -> 64 bits: int64 wraps, yet its bits are right, and the mask undoes the sign extension.
        product = even * multipliers
        high, low = (product >> 32) & _MASK, product & _MASK
        even, odd = high.flip(0) ^ odd ^ key, low.flip(0)
        key = (key + weyl) & _MASK
    return torch.stack((even[0], odd[0], even[1], odd[1]))  # 4 x (R,) -> (4, R)


@lru_cache(maxsize=16)
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    multipliers, weyl = torch.tensor([_MULTIPLIERS, _WEYL], device=device).unsqueeze(
        -1
    )  # (2, 2) -> 2 x (2, 1)
    return multipliers, weyl


def philox_of(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """`philox` of one row, in Python's own integers: a few microseconds where tensors take a hundred."""
    a, b, c, d = counter
    low, high = key
    for _ in range(10):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b = (second >> 32) ^ b ^ low, second & _MASK
        c, d = (first >> 32) ^ d ^ high, first & _MASK
        low, high = (low + _WEYL[0]) & _MASK, (high + _WEYL[1]) & _MASK
    return a, b, c, d


def uniform(row_keys: Tensor, samples: Tensor, steps: Tensor, purpose: str) -> Tensor:
    """(R,) int64 each -> (R,) float64 in [0, 1) with 53 random bits."""
    consumer = torch.full_like(steps, purpose_id(purpose))
    counter = torch.stack((steps, samples, consumer, steps >> 32)) & _MASK  # 4 x (R,) -> (4, R)
    key = torch.stack((row_keys, row_keys >> 32)) & _MASK  # 2 x (R,) -> (2, R)
    words = philox(counter, key)
    return ((words[0] >> 5) * 67108864 + (words[1] >> 6)).double() * 2.0**-53


def numbers_on_host(rows: Sequence[tuple[int, int]], steps: Sequence[int], consumer: int) -> list[float]:
    """`uniform` for a few rows (key, sample), in Python's own integers; `consumer` is the purpose's number."""
    numbers = []
    for (key, sample), step in zip(rows, steps, strict=True):
        counter = (step & _MASK, sample & _MASK, consumer, (step >> 32) & _MASK)
        a, b, _, _ = philox_of(counter, (key & _MASK, (key >> 32) & _MASK))
        numbers.append(((a >> 5) * 67108864 + (b >> 6)) * 2.0**-53)
    return numbers


def purpose_id(purpose: str) -> int:
    return _hashed(purpose)


# What torch.compiler.assume_constant_result does, which would import dynamo: hashes are not for tracing.
vars(purpose_id)["_dynamo_marked_constant"] = True


@lru_cache(maxsize=256)
def _hashed(purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=4).digest(), "little")


def hash_key(*parts: object) -> int:
    """A 64-bit row key, as a signed int64 that a tensor can hold."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def prompt_keys(seed: int, prompts: Sequence[Sequence[int]]) -> list[int]:
    """A key a prompt: hash(seed, ids, how often the same prompt came before in this call)."""
    seen: Counter[tuple[int, ...]] = Counter()
    keys = []
    for prompt in prompts:
        ids = tuple(prompt)
        keys.append(hash_key(seed, ids, seen[ids]))
        seen[ids] += 1
    return keys


def check_seed(seed: Any) -> int:
    """A whole number of Python's or numpy's, 0 <= seed < 2**64, as an int. Raises `InvalidInput` for anything else."""
    try:
        value = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**64:
        raise InvalidInput(f"seed {seed!r} is no seed", remedy="give a whole number from 0 to 2**64 - 1")
    return value


def as_key(seed: int) -> int:
    """A caller's own seed (0 <= seed < 2**64) as a signed int64."""
    return seed - 2**64 if seed >= 2**63 else seed


def fresh_seed() -> int:
    """A seed from torch's global generator, so that `torch.manual_seed` governs unseeded runs."""
    return int(torch.randint(2**63 - 1, ()).item())


class RowRng:
    """The row generator. `row_keys`, `samples`, `steps` are (R,) int64 on one device; `steps` is read at each call,
    and whoever writes the history advances it in place. `owner` sets the numbers of another model's run apart.

    What `select` makes of the keys is worked out when a number is asked for: a beam search reorders at every token and
    asks for none."""

    def __init__(self, row_keys: Tensor, samples: Tensor, steps: Tensor, owner: str = "") -> None:
        self._row_keys, self._samples, self.steps = row_keys, samples, steps
        self._waiting: list[
            tuple[Tensor, Tensor, Tensor]
        ] = []  # rows, copies, steps of selects to be caught up on
        self._owner = f"{owner}/" if owner else ""
        self._draw = purpose_id(f"{self._owner}draw")
        self._forks = torch.zeros_like(samples)  # how many copies of each row were made
        self._host_rows: list[tuple[int, int]] | None = None  # (key, sample) of each row
        self._counters: tuple[Tensor, Tensor, Tensor, int] | None = None

    @property
    def row_keys(self) -> Tensor:
        """(R,) int64."""
        self._catch_up()
        return self._row_keys

    @property
    def samples(self) -> Tensor:
        """(R,) int64."""
        self._catch_up()
        return self._samples

    def uniform(self, purpose: str = "draw", ahead: int = 0) -> Tensor:
        return uniform(self.row_keys, self.samples, self.steps + ahead, self._owner + purpose)

    def uniform_on_host(self) -> Tensor:
        """`uniform()`, for whoever waits for the numbers anyway."""
        if self.row_keys.device.type != "cpu" or len(self.row_keys) > _FEW:
            return self.uniform()
        return torch.tensor(self.numbers_on_host(), dtype=torch.float64)

    def numbers_on_host(self) -> list[float]:
        """The same for a few rows, on the host."""
        if self._host_rows is None:
            self._host_rows = list(zip(self.row_keys.tolist(), self.samples.tolist(), strict=True))
        return numbers_on_host(self._host_rows, self.steps.tolist(), self._draw)

    def counters(self) -> tuple[Tensor, Tensor, Tensor, int]:
        """What `uniform()` is a function of: keys, samples, steps, (R,) int64 each, and the purpose's number. The same
        tuple until other rows are selected."""
        if self._counters is None:
            self._catch_up()
            self._counters = self._row_keys, self._samples, self.steps, self._draw
        return self._counters

    def categorical(self, scores: Tensor, purpose: str = "draw", ahead: int = 0) -> Tensor:
        return inverse_cdf(scores, self.uniform(purpose, ahead))

    def without_replacement(self, scores: Tensor, count: int, rows: Tensor) -> Tensor:
        """(G, C) -> (G, count) int64 in the order drawn; group g draws the numbers of row `rows[g]`, (G,) int64."""
        keys, samples, steps = self.row_keys[rows], self.samples[rows], self.steps[rows]
        drawn: list[Tensor] = []
        for place in range(count):
            # Where nothing is left to draw any will do: the caller's scores say that it is worth nothing.
            scores = torch.where((scores == -torch.inf).all(-1, keepdim=True), 0.0, scores)
            drawn.append(inverse_cdf(scores, uniform(keys, samples, steps, f"{self._owner}draw/{place}")))
            scores = scores.scatter(1, drawn[-1].unsqueeze(1), -torch.inf)  # (G,) -> (G, 1)
        return torch.stack(drawn, dim=1)  # count x (G,) -> (G, count)

    def of_role(self, role: str, steps: Tensor) -> RowRng:
        """The random numbers of another model beside these rows; `steps` (R,) int64 is its own counter."""
        return RowRng(self.row_keys, self.samples, steps, f"{self._owner}{role}")

    def select(self, rows: Tensor, copies: Tensor, steps: Tensor) -> None:
        """(R',) int64 each: the rows' keys go with them. `copies` counts earlier copies of the same row: the first
        one goes on as it was, the others get keys of their own, or forked rows would draw the same for ever.
        `steps` is the history's new counter."""
        self._waiting.append((rows, copies, steps.clone()))
        self.steps, self._host_rows, self._counters = steps, None, None

    def _catch_up(self) -> None:
        for rows, copies, steps in self._waiting:
            keys, samples, forks = self._row_keys[rows], self._samples[rows], self._forks[rows]
            times = torch.bincount(rows, minlength=len(self._row_keys))[
                rows
            ]  # (R',): how often the row now stands
            self._forks = torch.where(copies == 0, forks + times - 1, 0)
            fork = torch.full_like(copies, purpose_id("fork"))
            counter = torch.stack((steps, samples, fork, forks + copies)) & _MASK  # 4 x (R',) -> (4, R')
            words = philox(counter, torch.stack((keys, keys >> 32)) & _MASK)
            self._row_keys = torch.where(copies == 0, keys, words[0] | (words[1] << 32))
            self._samples = samples
        self._waiting.clear()


class StepRng:
    """The random numbers of one step: its own purposes, so that it never shares a number with the draw or with
    another step. `row` is set for a step that is built once a row."""

    def __init__(self, rng: RowRng, owner: str, row: int | None = None) -> None:
        self._rng, self.owner, self._row = rng, owner, row

    def of_row(self, row: int) -> StepRng:
        """The same step's numbers in one row."""
        return StepRng(self._rng, self.owner, row)

    def uniform(self, purpose: str = "draw", ahead: int = 0) -> Tensor:
        """(R,) float64, or (1,) for one row."""
        rows = slice(None) if self._row is None else slice(self._row, self._row + 1)
        rng = self._rng
        return uniform(
            rng.row_keys[rows], rng.samples[rows], rng.steps[rows] + ahead, f"{self.owner}/{purpose}"
        )

    def categorical(self, scores: Tensor, purpose: str = "draw", ahead: int = 0) -> Tensor:
        """(R, V) -> (R,) int64, or (1, V) -> (1,) for one row."""
        return inverse_cdf(scores, self.uniform(purpose, ahead))


class TorchRng:
    """torch's generator (None: the global one), drawn from in transformers' order and amount."""

    def __init__(self, rows: int, device: torch.device, generator: torch.Generator | None = None) -> None:
        self._rows, self._device, self.generator = rows, device, generator

    def state(self) -> Tensor:
        """Where the generator stands."""
        return torch.get_rng_state() if self.generator is None else self.generator.get_state()

    def restore(self, state: Tensor) -> None:
        """Go back to where it stood."""
        if self.generator is None:
            torch.set_rng_state(state)
        else:
            self.generator.set_state(state)

    def select(self, rows: Tensor, copies: Tensor, steps: Tensor) -> None:
        """(R',) int64: from now on so many rows are drawn for."""
        self._rows = len(rows)

    def uniform(self, purpose: str = "draw", ahead: int = 0) -> Tensor:
        return torch.rand(self._rows, dtype=torch.float64, device=self._device, generator=self.generator)

    def categorical(self, scores: Tensor, purpose: str = "draw", ahead: int = 0) -> Tensor:
        return multinomial(scores, self.generator)

    def without_replacement(self, scores: Tensor, count: int, rows: Tensor) -> Tensor:
        """(G, C) -> (G, count) int64 in the order drawn, as transformers' beam sampling draws."""
        return torch.multinomial(scores.softmax(-1), count, generator=self.generator)

    def of_role(self, role: str, steps: Tensor) -> TorchRng:
        """One generator serves all models, as in transformers."""
        return self


def torch_rng(rows: int, device: torch.device, seed: int | None) -> TorchRng:
    """With a seed, a generator that yields what the global one would after `torch.manual_seed(seed)`."""
    if seed is None:
        return TorchRng(rows, device)
    return TorchRng(rows, device, torch.Generator(device=device).manual_seed(as_key(seed)))
