"""One module, several threads: a cache serves one session at a time, and nobody's module is harmed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import zoo
from adapters import connected
from test_sessions import IDS, same, truth
from torch import Tensor

from decodery import Decoder
from decodery.contracts.errors import ModelError
from decodery.contracts.protocols import DecodableModel


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads change places as often as they can."""
    found = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(found)


def greedy(decodable: DecodableModel, prompt: list[int], steps: int = 6) -> list[int]:
    session = decodable.open(1, len(prompt) + steps)
    try:
        tokens = [int(session.prefill(torch.tensor([prompt])).argmax())]
        while len(tokens) < steps:
            tokens.append(int(session.step(torch.tensor([tokens[-1:]])).argmax()))
        return tokens
    finally:
        session.close()


@pytest.mark.usefixtures("hurried")
def test_threads_get_the_tokens_of_one_thread_and_leave_every_parameter() -> None:
    model = zoo.Demo()
    decoders = [connected(model)[0], connected(model)[0]]  # two decoders share the module
    prompts = [[n % zoo.VOCAB, (3 * n + 1) % zoo.VOCAB, 5] for n in range(24)]
    names = [name for name, _ in model.named_parameters()]
    expected = [greedy(decoders[0], prompt) for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: greedy(decoders[n % 2], prompts[n]), range(len(prompts))))
    assert found == expected
    assert [name for name, _ in model.named_parameters()] == names
    assert model.layers[0].kv_cache is None
    assert all(part.training for part in model.modules())


@pytest.mark.usefixtures("hurried")
def test_connecting_waits_for_the_others_and_they_for_it() -> None:
    model = zoo.Demo()
    expected = greedy(connected(model)[0], [1, 2, 3])

    def work(_: int) -> list[int]:
        return greedy(connected(model)[0], [1, 2, 3])

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(9))) == [expected] * 9


@pytest.mark.usefixtures("hurried")
def test_plain_generate_in_a_thread_pool() -> None:
    decoder = Decoder(zoo.Demo())
    prompts = [[[n + 1, n + 2]] for n in range(8)]

    def decode(prompt: list[list[int]]) -> list[object]:
        return [list(sample.tokens) for sample in decoder.generate(prompt, max_new_tokens=6)]

    expected = [decode(prompt) for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(decode, prompts)) == expected


def elsewhere(job: object) -> list[object]:
    """What `job()` gives or raises in another thread."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(job())  # type: ignore[operator]
        except ModelError as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "deadlock"
    return found


def test_a_session_that_stands_still_is_not_waited_for_for_ever_nor_disturbed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decodery.models.keeping.turns.PATIENCE", 0.2)
    model = zoo.Demo()
    decodable, _ = connected(model)
    session = decodable.open(3, 14)
    session.prefill(IDS[:, :4])
    (error,) = elsewhere(lambda: decodable.open(1, 8))
    assert isinstance(error, ModelError)
    assert "serves one session at a time" in error.message
    assert "MainThread" in error.message
    assert "deepcopy" in error.remedy
    same(session.step(IDS[:, 4:5]), truth(model)[:, 4:5])
    session.close()


def test_a_call_that_takes_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decodery.models.keeping.turns.PATIENCE", 0.2)
    inside, go_on = threading.Event(), threading.Event()

    class Slow(zoo.Demo):
        slow = False

        def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
            if self.slow:
                inside.set()
                go_on.wait(20)
            return super().forward(x, input_pos)

    model = Slow()
    decodable, _ = connected(model)
    expected = greedy(decodable, [1, 2])
    model.slow = True
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(greedy, decodable, [1, 2])
        assert inside.wait(20)
        second = pool.submit(greedy, decodable, [1, 2])
        try:
            with pytest.raises(TimeoutError):
                second.result(0.6)
        finally:
            go_on.set()
        assert first.result(20) == second.result(20) == expected


def test_the_session_of_a_thread_that_has_ended_gives_way() -> None:
    decodable, _ = connected(zoo.Demo())
    (old,) = elsewhere(lambda: decodable.open(1, 8))
    assert len(greedy(decodable, [1, 2])) == 6
    with pytest.raises(ModelError, match=r"after it had been closed(.|\n)*copy.deepcopy"):
        old.prefill(IDS[:1, :2])  # type: ignore[attr-defined]


def test_a_session_that_was_let_go_of_gives_the_module_back() -> None:
    model = zoo.Demo()
    decodable, _ = connected(model)
    session = decodable.open(1, 8)
    assert model.layers[0].kv_cache is not None
    del session
    assert model.layers[0].kv_cache is None
    assert model.training
