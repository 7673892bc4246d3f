"""Weights that are half-precision numbers are read as such, and nobody can tell but by the clock."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from decodery.models.compiling.compiled import Compiled
from decodery.models.compiling.cpu.halves import NoLongerHalves, Reading, half_of
from decodery.models.compiling.text import Text

CPU = torch.device("cpu")


class Name:
    """Of a text."""


def weight_of(numbers: Tensor) -> nn.Parameter:
    return nn.Parameter(numbers.reshape(-1, 16).float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_finite_number_of_a_half_dtype_is_kept_as_it_is(dtype: torch.dtype) -> None:
    numbers = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(dtype)
    numbers = numbers.where(numbers.isfinite(), 0.0)
    half = half_of(weight_of(numbers))
    assert half is not None
    assert half.numbers.dtype == dtype
    assert torch.equal(half.numbers.view(torch.int16).view(-1), numbers.view(torch.int16))


@pytest.mark.parametrize("odd", [1 + 2.0**-12, 2.0**-25, 65_520.0 + 2**-4, float("nan"), float("inf")])
def test_a_number_that_takes_more_bits_is_told(odd: float) -> None:
    weight = weight_of(torch.full((64,), 1.0009765625))  # 1 + 2^-10: float16 has it, bfloat16 has not
    assert half_of(weight) is not None
    other = weight_of(torch.full((64,), 1.0009765625))
    other.data[2, 3] = odd
    assert half_of(other) is None


@pytest.mark.parametrize(
    "weight",
    [
        torch.ones(4, 16),  # nobody's parameter: it may be anything in the next call
        nn.Parameter(torch.ones(4, 16, dtype=torch.float64)),
        nn.Parameter(torch.ones(16)),
        nn.Parameter(torch.ones(16, 4).t()),
        nn.Parameter(torch.ones(3, 5)),
    ],
)
def test_other_tensors_have_none(weight: Tensor) -> None:
    assert half_of(weight) is None


def test_a_weight_of_inference_mode_has_none() -> None:
    with torch.inference_mode():
        assert half_of(nn.Parameter(torch.ones(4, 16))) is None


def test_a_half_that_was_made_in_inference_mode_follows_its_weight_outside() -> None:
    weight, reading = weight_of(torch.ones(64)), Reading([0])
    with torch.inference_mode():
        reading.fresh([weight], Name())
    with torch.no_grad():
        weight.mul_(2)
    (numbers,) = reading.fresh([weight], Name())
    assert torch.equal(numbers.float(), weight)


def doubled(weight: nn.Parameter) -> nn.Parameter:
    with torch.no_grad():
        weight.mul_(2)
    return weight


def elsewhere(weight: nn.Parameter) -> nn.Parameter:
    weight.data = weight.data * 2
    return weight


CHANGES: dict[str, Callable[[nn.Parameter], nn.Parameter]] = {
    "in place": doubled,
    "its memory": elsewhere,
    "another parameter": lambda weight: nn.Parameter(weight.detach() * 2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_within_a_text_is_read(change: Callable[[nn.Parameter], nn.Parameter]) -> None:
    weight, text = weight_of(torch.ones(64)), Name()
    reading = Reading([1])
    (first,) = reading.fresh([None, weight], text)
    assert torch.equal(first.float(), weight)
    weight = change(weight)
    (second,) = reading.fresh([None, weight], text)
    assert torch.equal(second.float(), weight)
    assert weight.detach()[0, 0] == 2.0


def test_what_is_written_to_data_is_read_by_the_next_text() -> None:
    weight, reading = weight_of(torch.ones(64)), Reading([0])
    reading.fresh([weight], Name())
    weight.data.mul_(2)
    (numbers,) = reading.fresh([weight], Name())
    assert torch.equal(numbers.float(), weight)


def test_what_reads_halves_keeps_no_weight_alive() -> None:
    weight, reading = weight_of(torch.ones(64)), Reading([0])
    reading.fresh([weight], Name())
    end = weakref.ref(weight)
    del weight
    gc.collect()
    assert end() is None
    other = weight_of(torch.zeros(64))  # likely where the first one was
    (numbers,) = reading.fresh([other])
    assert torch.equal(numbers.float(), other)


@pytest.mark.parametrize("again", [True, False])
def test_a_weight_that_takes_32_bits_from_now_on_is_said(again: bool) -> None:
    weight, reading, text = weight_of(torch.ones(64)), Reading([0]), Name()
    reading.fresh([weight], text)
    with torch.no_grad():
        weight.mul_(1 + 2.0**-20)
    with pytest.raises(NoLongerHalves):
        reading.fresh([weight], text if again else Name())
    assert half_of(weight) is None


@pytest.mark.slow  # a C++ compiler runs
@pytest.mark.parametrize("rows", [1, 3])
def test_a_compiled_layer_reads_halves_until_its_weights_are_none(rows: int) -> None:
    from torch._inductor.utils import fresh_cache, run_and_get_code

    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(64, 96), nn.SiLU(), nn.Linear(96, 64, bias=False))
    for part in (layer[0], layer[2]):
        part.weight.data = part.weight.data.half().float()
    x = torch.randn(rows, 1, 64)
    torch.compiler.reset()
    compiled = Compiled(layer, CPU)

    def as_it_is() -> None:
        torch.testing.assert_close(compiled(x), layer(x), atol=1e-5, rtol=1e-5)

    with torch.no_grad(), fresh_cache():
        found, code = run_and_get_code(compiled, x)
        torch.testing.assert_close(found, layer(x), atol=1e-5, rtol=1e-5)
        assert "Half*" in code[0]
        assert "mm(" not in code[0]
        layer[0].weight.mul_(2)
        as_it_is()
        layer[2].weight.data.mul_(4)
        torch.testing.assert_close(Text(compiled)(x), layer(x), atol=1e-5, rtol=1e-5)
        layer[2].weight = nn.Parameter(torch.randn(64, 96))  # of 24 bits
        as_it_is()
        layer[0].weight.data.mul_(1 / 3)
        as_it_is()
