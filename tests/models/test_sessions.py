"""Every sound model's session answers like one call of the model on the whole context."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
import zoo
from adapters import connected
from torch import Tensor

from decodery.contracts.errors import ModelError

SOUND = {
    "NanoGPT": "stateless", "DictGPT": "stateless", "SameMemory": "stateless", "NoCache": "stateless",
    "NoCacheRequired": "stateless", "LyingCache": "stateless", "GptFast": "input_pos", "Demo": "input_pos",
    "LitGPT": "input_pos", "LitLlama": "input_pos", "MetaLlama": "input_pos", "SingleToken": "input_pos",
}  # fmt: skip
"""Model -> the adapter that detection has to find."""
IDS = torch.randint(0, zoo.VOCAB, (3, 14), generator=torch.Generator().manual_seed(1))


def truth(model: zoo.Body, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        return zoo.Body.plain(model, ids)


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SOUND)
def test_prefill_single_steps_and_chunks_equal_the_whole_context(name: str) -> None:
    model = getattr(zoo, name)()
    expected = truth(model)
    decodable, report = connected(model)
    assert report.adapter == SOUND[name]
    for rows in (3, 1, 2):  # again with another batch size: an older cache must not shine through
        session = decodable.open(rows, 14)
        ids = IDS[:rows]
        same(session.prefill(ids[:, :4]), expected[:rows, 3])
        same(session.step(ids[:, 4:5]), expected[:rows, 4:5])
        same(session.step(ids[:, 5:9]), expected[:rows, 5:9])
        same(session.step(ids[:, 9:10]), expected[:rows, 9:10])
        session.close()


@pytest.mark.parametrize("name", SOUND)
def test_tokens_can_be_taken_back(name: str) -> None:
    model = getattr(zoo, name)()
    decodable, _ = connected(model)
    session = decodable.open(2, 14)
    session.prefill(IDS[:2, :5])
    session.step(IDS[:2, 5:9])
    counts = torch.tensor([3, 3])
    with pytest.raises(ModelError, match="same number"):
        session.rewind(torch.tensor([3, 2]))
    session.rewind(counts)
    other = torch.cat([IDS[:2, :6], (IDS[:2, 6:9] + 5) % zoo.VOCAB], dim=1)
    same(session.step(other[:, 6:]), truth(model, other)[:, 6:])
    session.close()


@pytest.mark.parametrize("name", SOUND)
def test_rows_are_reordered_repeated_and_dropped(name: str) -> None:
    model = getattr(zoo, name)()
    decodable, _ = connected(model)
    assert decodable.facts.capabilities.select
    session = decodable.open(3, None)
    session.prefill(IDS[:, :4])
    rows = torch.tensor([2, 0, 2, 2])
    session.select(rows)
    same(session.step(IDS[rows, 4:6]), truth(model)[rows, 4:6])
    session.select(torch.tensor([1]))
    same(session.step(IDS[:1, 6:7]), truth(model)[:1, 6:7])
    session.close()


@pytest.mark.parametrize("name", SOUND)
def test_the_module_is_left_as_it_was_found(name: str) -> None:
    model = getattr(zoo, name)()
    model.layers[0].eval()
    expected, before = truth(model), state(model)
    decodable, _ = connected(model)
    assert state(model) == before, "after detection"
    session = decodable.open(2, 14)
    session.prefill(IDS[:2, :4])
    assert not any(part.training for part in model.modules())
    with pytest.raises(ModelError):
        session.step(torch.full((2, 1), 10_000))  # an error on the way changes nothing
    session.close()
    assert state(model) == before, "after a session"
    assert torch.equal(truth(model), expected)


def state(model: torch.nn.Module) -> object:
    """Flags, submodules, and attributes by identity; a counter of calls is no state."""
    return [
        (
            name,
            part.training,
            sorted((key, id(value)) for key, value in vars(part).items() if key != "resets"),
            {key: id(value) for key, value in part._buffers.items()},
            list(part._modules),
            len(vars(part).get("kv_caches", [])),
        )
        for name, part in model.named_modules()
    ]


@pytest.mark.parametrize("name", SOUND)
def test_logits_are_the_callers_to_keep(name: str) -> None:
    decodable, _ = connected(getattr(zoo, name)())
    session = decodable.open(2, 14)
    answers = [session.prefill(IDS[:2, :4]), session.step(IDS[:2, 4:5]), session.step(IDS[:2, 5:6])]
    kept = [answer.clone() for answer in answers]
    session.step(IDS[:2, 6:8])
    session.close()
    assert all(torch.equal(a, b) for a, b in zip(answers, kept, strict=True))
    assert not any(answer.requires_grad or answer.is_inference() for answer in answers)


@pytest.mark.parametrize("name", ["Demo", "NanoGPT", "MetaLlama"])
def test_sessions_opened_in_inference_mode_work_and_leave_nothing_behind(name: str) -> None:
    model = getattr(zoo, name)()
    with torch.inference_mode():
        decodable, _ = connected(model)
        session = decodable.open(2, 14)
        session.prefill(IDS[:2, :4])
    same(session.step(IDS[:2, 4:5]), truth(model)[:2, 4:5])  # the same mode as at its opening
    session.close()
    again = decodable.open(2, 14)
    same(again.prefill(IDS[:2, :4]), truth(model)[:2, 3])
    again.close()


@pytest.mark.parametrize("name", ["Demo", "NanoGPT"])
def test_a_session_stops_before_the_context_ends(name: str) -> None:
    decodable, _ = connected(getattr(zoo, name)())
    assert decodable.facts.max_length == zoo.CONTEXT
    session = decodable.open(1, None)
    session.prefill(torch.zeros(1, zoo.CONTEXT, dtype=torch.long))
    with pytest.raises(ModelError, match="33 tokens exceed the context"):
        session.step(torch.zeros(1, 1, dtype=torch.long))
    session.close()


def test_a_closed_session_refuses_to_go_on() -> None:
    decodable, _ = connected(zoo.NanoGPT())
    session = decodable.open(1, None)
    session.close()
    session.close()
    with pytest.raises(ModelError, match="closed"):
        session.prefill(IDS[:1])


def test_masks_are_refused_where_nobody_would_read_them() -> None:
    for name in ("NanoGPT", "Demo"):
        session = connected(getattr(zoo, name)())[0].open(2, 14)
        with pytest.raises(ModelError, match="no attention mask"):
            session.prefill(IDS[:2, :4], attention_mask=torch.ones(2, 4))
        session.close()


class NotAModule:
    """An object with a call, the module out of sight."""

    def __init__(self, model: zoo.NanoGPT) -> None:
        self.model = model

    def __call__(self, *args: Tensor) -> Tensor:
        return self.model.plain(*args)


@pytest.mark.parametrize(
    "wrap",
    [
        NotAModule,
        lambda model: NotAModule(model).__call__,
        lambda model: functools.partial(model.forward, targets=None),
        lambda model: model.forward,
        torch.nn.DataParallel,
    ],
)
def test_plain_callables_and_wrapped_modules_are_models_too(wrap: Callable[[zoo.NanoGPT], object]) -> None:
    model = zoo.NanoGPT()
    decodable, report = connected(wrap(model), vocab_size=zoo.VOCAB)
    assert report.adapter == "stateless"
    session = decodable.open(3, None)
    same(session.prefill(IDS[:, :4]), truth(model)[:, 3])
    session.close()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: functools.partial(model, targets=None),
        lambda model: functools.partial(model.forward, targets=None),
        lambda model: model.forward,
        torch.nn.DataParallel,
        lambda model: torch.compile(model, backend="eager"),
    ],
)
def test_the_module_behind_a_wrapper_is_found(wrap: Callable[[zoo.NanoGPT], object]) -> None:
    model = zoo.NanoGPT()
    decodable, _ = connected(wrap(model), "stateless")
    assert (decodable.facts.vocab_size, decodable.facts.max_length) == (zoo.VOCAB, zoo.CONTEXT)
    session = decodable.open(1, None)
    assert not model.training
    session.close()
    assert model.training


def test_model_inputs_reach_the_model() -> None:
    def scaled(ids: Tensor, scale: float = 1.0) -> Tensor:
        return scale * zoo.bigram(ids)

    session = connected(scaled, vocab_size=5)[0].open(1, None)
    assert session.prefill(torch.tensor([[1]]), scale=2.0).tolist() == [[0, 0, 6, 0, 0]]
    assert session.step(torch.tensor([[3]])).tolist() == [[[0, 0, 0, 0, 6]]]
    session.close()


def test_what_is_fed_whole_is_asked_for_no_state() -> None:
    """Some that keep a state answer otherwise with it: RecurrentGemma, of a prompt longer than its window."""

    class Keeping(zoo.NanoGPT):
        def forward(self, idx: Tensor, use_cache: bool = True) -> Tensor:  # type: ignore[override]
            return super().forward(idx.flip(1) if use_cache else idx)

    model = Keeping()
    expected = truth(model)
    session = connected(model, "stateless")[0].open(3, 14)
    same(session.prefill(IDS[:, :4]), expected[:, 3])
    same(session.step(IDS[:, 4:6]), expected[:, 4:6])
    session.close()
