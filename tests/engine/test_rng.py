"""The row generator is Philox, and a row's numbers are its own."""

from __future__ import annotations

import pytest
import torch

from decodery.engine.rng import (
    RowRng,
    as_key,
    hash_key,
    numbers_on_host,
    philox,
    prompt_keys,
    purpose_id,
    uniform,
)
from decodery.testing import chi_square

# Random123's own known answers (kat_vectors, "philox4x32 10"): counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_published_answers(
    counter: tuple[int, ...], key: tuple[int, ...], answer: str
) -> None:
    words = philox(torch.tensor(counter).unsqueeze(1), torch.tensor(key).unsqueeze(1))
    assert " ".join(f"{int(word):08x}" for word in words) == answer


def test_a_row_draws_the_same_numbers_in_any_company() -> None:
    keys = torch.tensor([hash_key("a"), hash_key("b"), as_key(2**64 - 1), 5])
    samples, steps = torch.tensor([0, 1, 0, 3]), torch.tensor([7, 0, 2, 2**33])
    together = uniform(keys, samples, steps, "draw")
    for row in range(4):
        one = slice(row, row + 1)
        assert torch.equal(uniform(keys[one], samples[one], steps[one], "draw"), together[one])


def test_key_sample_step_purpose_and_lookahead_each_change_the_number() -> None:
    base = RowRng(torch.tensor([5]), torch.tensor([0]), torch.tensor([0]))
    others = [
        RowRng(torch.tensor([6]), torch.tensor([0]), torch.tensor([0])).uniform(),
        RowRng(torch.tensor([5]), torch.tensor([1]), torch.tensor([0])).uniform(),
        RowRng(torch.tensor([5]), torch.tensor([0]), torch.tensor([1])).uniform(),
        RowRng(torch.tensor([5 + 2**32]), torch.tensor([0]), torch.tensor([0])).uniform(),
        base.uniform("accept"),
    ]
    assert len({float(u) for u in [base.uniform(), *others]}) == len(others) + 1
    assert torch.equal(base.uniform(ahead=1), others[2])


def test_numbers_are_uniform() -> None:
    count = 100_000
    numbers = uniform(
        torch.arange(count),
        torch.zeros(count, dtype=torch.int64),
        torch.zeros(count, dtype=torch.int64),
        "draw",
    )
    assert numbers.dtype == torch.float64
    assert 0 <= float(numbers.min()) < float(numbers.max()) < 1
    counts = torch.bincount((numbers * 256).long(), minlength=256)
    assert chi_square(counts, torch.full((256,), 1 / 256)) > 1e-6


def test_equal_prompts_of_one_call_get_different_keys_and_others_do_not_shift_them() -> None:
    first = prompt_keys(3, [[1, 2], [1, 2], [4]])
    assert len(set(first)) == 3
    assert prompt_keys(3, [[4], [9], [1, 2]])[0] == first[2]
    assert prompt_keys(3, [[4], [9], [1, 2]])[2] == first[0]
    assert prompt_keys(4, [[4]])[0] != first[2]


def test_the_hosts_numbers_are_the_tensors() -> None:
    generator = torch.Generator().manual_seed(5)
    keys, samples, steps = torch.randint(-(2**63), 2**63 - 1, (3, 70), generator=generator)
    many = uniform(keys, samples, steps, "draw")
    rows = list(zip(keys.tolist(), samples.tolist(), strict=True))
    assert many.tolist() == numbers_on_host(rows, steps.tolist(), purpose_id("draw"))
    for count in (7, 70):
        rng = RowRng(keys[:count], samples[:count], steps[:count])
        assert torch.equal(rng.uniform_on_host(), rng.uniform())
