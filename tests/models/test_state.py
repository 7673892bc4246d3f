"""Trees of state, and how rows and tokens are taken of what nobody described."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decodery.models.state.handling import copied, watched
from decodery.models.state.tree import leaves, mapped, of_module

Pair = namedtuple("Pair", ["k", "v"])


@dataclass(frozen=True)
class Frozen:
    held: Tensor
    seen: int


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held: Tensor) -> None:
        self.held = held


def doubled(path: Any, leaf: Any) -> Any:
    return leaf * 2


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: [t, None],
        lambda t: (t, "text"),
        lambda t: Pair(t, 1.5),
        lambda t: {"a": {"b": [t]}},
        lambda t: SimpleNamespace(held=t),
        lambda t: Frozen(t, 3),
        Slotted,
    ],
)
def test_every_container_is_made_anew_and_the_old_one_stays(wrap: Any) -> None:
    tensor = torch.ones(2)
    old = wrap(tensor)
    new = mapped(old, doubled)
    assert type(new) is type(old)
    assert [t.tolist() for t in leaves(new).values() if isinstance(t, Tensor)] == [[2.0, 2.0]]
    assert [t.tolist() for t in leaves(old).values() if isinstance(t, Tensor)] == [[1.0, 1.0]]
    assert mapped(old, lambda path, leaf: leaf) is old


def test_what_was_shared_stays_shared_and_circles_end() -> None:
    tensor = torch.ones(1)
    both = mapped([tensor, {"again": tensor}], doubled)
    assert both[0] is both[1]["again"]
    assert both[0].item() == 2.0, "once, not twice"
    circle: list[Any] = [tensor]
    circle.append(circle)
    assert len(leaves(circle)) == 1


def test_booleans_and_modules_are_no_state() -> None:
    assert leaves([True, None, "a", nn.Linear(2, 2), 7]) == {("4",): 7}


def test_weights_and_submodules_are_no_state_of_a_module() -> None:
    module = nn.Module()
    module.inner = nn.Linear(2, 2)
    module.register_buffer("held", torch.zeros(2))
    module.cache = [torch.zeros(3)]
    found = of_module(module)
    assert {("", "held"), ("", "cache")} <= found.keys()
    assert not {"weight", "bias", "inner", "training"} & {attribute for _, attribute in found}


def step(before: Any, after: Any, batch: int, every: bool = False) -> Any:
    return watched(copied(leaves(before)), leaves(after), batch, every)


def test_a_batch_is_found_in_any_leading_dimension() -> None:
    def at(*shape: int) -> Any:
        return step([torch.zeros(shape)], [torch.ones(shape)], 7).rows

    assert at(7, 2, 5) == {("0",): 0}
    assert at(2, 7, 5) == {("0",): 1}
    assert at(3, 2, 7, 5) == {("0",): 2}
    assert at(3, 2, 5) == {}


def test_what_did_not_change_has_rows_only_where_all_is_state() -> None:
    still = [torch.zeros(7, 2)]
    assert step(still, [torch.zeros(7, 2)], 7).rows == {}
    assert step(still, [torch.zeros(7, 2)], 7, every=True).rows == {("0",): 0}


def test_a_pool_is_larger_than_the_batch_and_keeps_its_other_rows() -> None:
    before, after = torch.zeros(8, 2), torch.zeros(8, 2)
    after[:3] = torch.tensor([[1.0, 1], [2, 2], [3, 3]])
    found = step([before], [after], 3)
    assert (found.rows, found.pools) == ({}, {("0",): 0})
    after[5] = 9.0
    taken = found.taking(torch.tensor([2, 0]), ("0",), after)
    assert taken[:, 0].tolist() == [3, 1, 3, 0, 0, 9, 0, 0]
    assert after[0, 0] == 1.0


def test_what_grows_is_cut_and_what_counts_is_counted_back() -> None:
    before = {"k": torch.zeros(7, 4, 2), "seen": 4, "place": torch.tensor([4]), "size": 9}
    after = {"k": torch.ones(7, 5, 2), "seen": 5, "place": torch.tensor([5]), "size": 9}
    found = step(before, after, 7)
    assert found.rewinds_by == "crop"
    back = mapped(after, lambda path, leaf: found.without(2, path, leaf))
    assert (back["k"].shape, back["seen"], back["place"].item(), back["size"]) == ((7, 3, 2), 3, 3, 9)


def test_a_hidden_state_can_neither_be_cut_nor_counted() -> None:
    assert step([torch.zeros(1, 7, 4)], [torch.ones(1, 7, 4)], 7).rewinds_by == ""
