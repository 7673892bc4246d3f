"""What a session is fed, and what it is told of limits and masks."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from engine_support import (
    CPU,
    VOCAB,
)
from torch import Tensor, nn

from decodery import Decoder, Pipeline
from decodery.contracts.errors import (
    ModelError,
    PluginError,
)
from decodery.contracts.protocols import Capabilities
from decodery.engine.buffers.feed import Feed
from decodery.engine.buffers.history import History
from decodery.testing import TableModel


class Witness:
    """A model whose sessions honour masks and cannot reorder; it writes down how it was called."""

    def __init__(self, answer: Callable[[Tensor], Tensor] | None = None) -> None:
        self.facts = SimpleNamespace(
            capabilities=Capabilities(masks=True), device=CPU, vocab_size=None, max_length=None, encoder=None
        )
        self.opened: list[tuple[int, int | None]] = []
        self.prefills: list[tuple[list[list[int]], list[list[int]] | None]] = []
        self.answer = answer or (lambda ids: torch.zeros(len(ids), VOCAB))

    def open(self, batch_size: int, length: int | None) -> Witness:
        self.opened.append((batch_size, length))
        return self

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        self.prefills.append(
            (input_ids.tolist(), None if attention_mask is None else attention_mask.tolist())
        )
        return self.answer(input_ids)

    def step(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, VOCAB)

    def close(self) -> None: ...


def test_a_session_is_told_the_columns_it_will_see_padding_included() -> None:
    model = Witness()
    Feed(model, History([[1], [2, 3, 4]], 0, CPU), limit=10).logits([0, 1])  # type: ignore[arg-type]
    assert model.opened == [(2, 12)]


def test_a_session_that_cannot_reorder_is_fed_again_with_the_mask_of_the_rows_as_they_now_stand() -> None:
    model, history = Witness(), History([[1], [2, 3, 4]], 0, CPU)
    feed = Feed(model, history, limit=None)  # type: ignore[arg-type]
    feed.logits([0, 1])
    history.write(torch.tensor([7, 8]), torch.tensor([True, True]), [0, 1])
    history.select(torch.tensor([1, 0]), [1, 0])
    feed.select(torch.tensor([1, 0]), [1, 0])
    feed.logits([0, 1])
    assert model.prefills[1] == ([[2, 3, 4, 8], [0, 0, 1, 7]], [[1, 1, 1, 1], [0, 0, 1, 1]])


def test_a_session_that_cannot_take_back_is_fed_again() -> None:
    model, history = Witness(), History([[1, 2], [3, 4]], 0, CPU)
    feed = Feed(model, history, limit=None)  # type: ignore[arg-type]
    for tokens in ([5, 6], [7, 8]):
        feed.logits([0, 1])
        history.write(torch.tensor(tokens), torch.tensor([True, True]), [0, 1])
    feed.logits([0, 1])
    history.rewind(torch.tensor([1, 1]), [1, 1])
    feed.keep(history.host_lengths)
    feed.logits([0, 1])
    assert model.prefills == [([[1, 2], [3, 4]], None), ([[1, 2, 5], [3, 4, 6]], None)]


def test_a_session_that_answers_in_another_shape_is_named() -> None:
    model = Witness(lambda ids: torch.zeros(len(ids), 1, VOCAB))
    with pytest.raises(ModelError, match=r"shape \(1, 1, 24\) for 1 rows"):
        Feed(model, History([[1]], 0, CPU), limit=None).logits([0])  # type: ignore[arg-type]


def test_a_rows_prompt_length_goes_with_it() -> None:
    history = History([[1], [2, 3, 4]], 0, CPU)
    history.select(torch.tensor([1, 0, 1]), [1, 0, 1])
    assert history.prompt_lengths.tolist() == history.host_prompt_lengths == [3, 1, 3]


def test_the_model_is_left_in_the_mode_it_was_in_whatever_happens() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.weight = TableModel(VOCAB), nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            modes.append(self.training)
            return self.table(x)

    def refuse(input_ids: Tensor, scores: Tensor) -> Tensor:
        raise RuntimeError("no")

    modes: list[bool] = []
    net = Net().train()
    Decoder(net, vocab_size=VOCAB).generate([[1]], max_new_tokens=2)
    assert net.training
    with pytest.raises(PluginError, match="RuntimeError: no"):
        Decoder(net, Pipeline().add(refuse), vocab_size=VOCAB).generate([[1]])
    assert net.training
    assert not any(modes)
