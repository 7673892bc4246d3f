"""What the owner of a model does to it while a session is open stays done."""

from __future__ import annotations

import copy
import gc
import weakref

import torch
import zoo
from adapters import connected
from test_sessions import IDS
from torch import Tensor, nn

from decodery.models.keeping.journal import Journal


class Table(zoo.Demo):
    """Sets a table up and counts its calls, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(2))
        self.calls = 0
        self.past: list[int] = []

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        super().setup_caches(max_batch_size, max_seq_length)
        self.table = torch.ones(max_seq_length)

    def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
        self.calls += 1
        self.past.append(x.shape[1])
        return super().forward(x, input_pos)


def test_what_the_user_sets_during_a_session_stays() -> None:
    model = Table()
    decodable, _ = connected(model)
    session = decodable.open(3, 14)
    session.prefill(IDS[:, :4])
    head, table, cache = nn.Linear(zoo.WIDTH, zoo.VOCAB, bias=False), torch.full((3,), 7.0), nn.Identity()
    model.head, model.table, model.note = head, table, "mine"
    model.layers[1].kv_cache = cache
    session.close()
    assert model.head is head
    assert model.table is table
    assert model.note == "mine"
    assert model.layers[1].kv_cache is cache, "not hidden behind the None of before either"
    assert model.layers[0].kv_cache is None, "what is ours is undone"


def test_a_model_that_is_made_double_stays_double() -> None:
    model = Table()
    decodable, _ = connected(model)
    session = decodable.open(3, 14)
    session.prefill(IDS[:, :4])
    model.double()
    session.close()
    assert {t.dtype for t in (*model.parameters(), *model.buffers())} == {torch.float64}


def test_what_every_call_changes_is_undone_after_many_calls() -> None:
    model = Table()
    decodable, _ = connected(model)
    table, past = model.table, model.past
    names = [name for name, _ in model.named_parameters()]
    session = decodable.open(3, 14)
    session.prefill(IDS[:, :4])
    for t in range(4, 12):
        session.step(IDS[:, t : t + 1])
    assert model.calls == len(past) == 9
    session.close()
    assert (model.calls, model.past, past) == (0, past, [])
    assert model.table is table
    assert [name for name, _ in model.named_parameters()] == names


def test_a_counter_that_the_user_sets_between_calls_is_the_users() -> None:
    model = Table()
    decodable, _ = connected(model)
    session = decodable.open(3, 14)
    for t in range(6):
        session.step(IDS[:, t : t + 1])
    model.calls = 5000
    session.step(IDS[:, 6:7])
    session.close()
    assert model.calls == 5001


def test_a_flag_that_the_user_sets_during_a_session_stays() -> None:
    model = zoo.Demo().eval()
    model.layers[0].train()
    decodable, _ = connected(model)
    session = decodable.open(3, 14)
    assert not any(part.training for part in model.modules())
    model.layers[1].train()
    added = nn.Dropout()
    model.added = added
    session.close()
    assert model.layers[0].training, "as found"
    assert model.layers[1].training, "the user's"
    assert added.training
    assert not model.training
    assert not model.head.training


def test_decoders_of_one_module_hold_its_mode_together() -> None:
    model = zoo.NanoGPT()
    first, second = connected(model)[0].open(1, 8), connected(model)[0].open(1, 8)
    first.close()
    assert not model.training, "the second session would have its dropout on"
    second.close()
    assert model.training


def test_a_model_can_be_copied_during_a_session() -> None:
    model = zoo.Demo()
    decodable, _ = connected(model)
    session = decodable.open(3, 14)
    session.prefill(IDS[:, :4])
    twin = copy.deepcopy(model)
    session.close()
    assert torch.equal(twin.plain(IDS), model.plain(IDS))


def test_a_model_that_nobody_has_any_more_is_gone() -> None:
    model = zoo.Demo()
    decodable, _ = connected(model)
    decodable.open(1, 8)
    gone = weakref.ref(model)
    del model, decodable
    gc.collect()
    assert gone() is None


def test_the_order_of_what_was_taken_out_is_that_of_before() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    parts = list(module)
    journal = Journal(module)
    with journal.recording():
        module._modules.pop("1")
        module._modules["0"] = nn.Identity()
    journal.undo()
    assert list(module) == parts


def test_no_dict_is_ever_empty_while_things_are_put_back() -> None:
    class Watched(dict):  # type: ignore[type-arg]
        least = 99

        def pop(self, *args: object) -> object:
            value = super().pop(*args)
            self.least = min(self.least, len(self))
            return value

        def clear(self) -> None:
            self.least = 0
            super().clear()

    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    watched = module._modules = Watched(module._modules)
    journal = Journal(module)
    with journal.recording():
        module.extra = nn.ReLU()
    journal.undo()
    assert watched.least == len(watched) == 3
