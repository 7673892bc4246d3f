"""A module is left as it was found."""

from __future__ import annotations

import torch
from torch import nn

from decodery.models.keeping.module import EvalMode, Snapshot, left_as_found


def flags(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]


def test_every_submodule_gets_its_own_flag_back() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module[1].eval()  # a frozen layer in a training model
    before = flags(module)
    held = EvalMode(module)
    held.hold()
    held.hold()
    assert not any(flags(module))
    held.release()
    assert not any(flags(module)), "another session still needs it"
    held.release()
    assert flags(module) == before == [True, True, False]


def test_modules_that_act_on_train_and_eval_are_told() -> None:
    class Merging(nn.Linear):
        merged = False

        def train(self, mode: bool = True) -> Merging:
            self.merged = not mode
            return super().train(mode)

    module = Merging(2, 2)
    held = EvalMode(module)
    held.hold()
    assert module.merged
    held.release()
    assert not module.merged


def test_a_snapshot_undoes_what_was_added_replaced_and_removed() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    module.register_buffer("table", torch.zeros(2))
    module.cache = None
    module.past = [1, 2]
    module.sizes = {"batch": 1}
    table, past, names = module.table, module.past, [name for name, _ in module.named_modules()]
    found = Snapshot(module)
    module.cache = nn.Linear(2, 2)
    module.register_buffer("table", torch.ones(5))
    module.register_buffer("mask", torch.ones(5))
    module.past.append(3)
    module.sizes["batch"] = 9
    del module[0].bias
    module.eval()
    found.restore()
    assert module.cache is None
    assert module.table is table
    assert "mask" not in dict(module.named_buffers())
    assert module.past is past
    assert past == [1, 2]
    assert module.sizes == {"batch": 1}
    assert module[0].bias is not None
    assert [name for name, _ in module.named_modules()] == names
    assert not module.training, "the flag belongs to EvalMode"


def test_random_numbers_drawn_inside_leave_the_callers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with left_as_found(None):
        torch.rand(100)
    assert torch.equal(torch.rand(1), expected)
