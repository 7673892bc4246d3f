"""torch's CUDA generator seen from outside: where it stands, and how far `torch.multinomial` moves it."""

from __future__ import annotations

import struct

import torch

THREADS, UNROLL, TURN = 256, 4, 4
"""Of torch's kernel for random numbers: threads a block, numbers a call, and how far a call moves the counter."""


def threads(numel: int, device: torch.device) -> int:
    """How many threads `exponential_` uses for so many numbers."""
    found = torch.cuda.get_device_properties(device)
    most = found.multi_processor_count * (found.max_threads_per_multi_processor // THREADS)
    return min(most, -(-numel // THREADS)) * THREADS


def advance(numel: int, threads: int) -> int:
    """How far the generator's offset moves for so many numbers."""
    return ((numel - 1) // (threads * UNROLL) + 1) * TURN


def generator_of(generator: torch.Generator | None, device: torch.device) -> torch.Generator:
    """None is the device's global one."""
    if generator is not None:
        return generator
    torch.cuda.init()  # type: ignore[no-untyped-call]
    index = torch.cuda.current_device() if device.index is None else device.index
    found: torch.Generator = torch.cuda.default_generators[index]
    return found


def where(generator: torch.Generator) -> tuple[int, int]:
    """(seed, offset) as signed 64-bit numbers. Its state is 16 bytes on the host: no wait for the device."""
    seed, offset = struct.unpack("<qq", bytes(generator.get_state().tolist()))
    return seed, offset


def put(generator: torch.Generator, seed: int, offset: int) -> None:
    """The inverse of `where`."""
    state = bytearray(struct.pack("<qq", seed, offset))
    generator.set_state(torch.frombuffer(state, dtype=torch.uint8))


def take(generator: torch.Generator, amount: int) -> tuple[int, int]:
    """(seed, offset) where it stands; it moves on by `amount`."""
    seed, offset = where(generator)
    put(generator, seed, offset + amount)
    return seed, offset
