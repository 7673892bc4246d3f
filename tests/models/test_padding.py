"""Left padding is used only where mask and places are accepted and were found to give the row's own logits."""

from __future__ import annotations

import pytest
import torch
import zoo_more
from adapters import connected
from test_families import HOST, NEW, PROMPTS, greedy
from test_sessions import IDS, same, truth

from decodery import Decoder
from decodery.contracts.errors import ModelError


@pytest.mark.parametrize(("name", "masks"), [("Maskable", True), ("MaskIgnored", False), ("NoPlaces", False)])
def test_a_mask_is_used_where_it_holds_and_tokens_are_right_either_way(name: str, masks: bool) -> None:
    model = getattr(zoo_more, name)()
    decode = Decoder(model, host=HOST)
    assert decode.model.facts.capabilities.masks is masks
    expected = [greedy(lambda ids: truth(model, ids), prompt, NEW) for prompt in PROMPTS]
    assert decode.generate(PROMPTS, max_new_tokens=NEW).tokens == expected


def test_padded_rows_are_stepped_selected_and_taken_back() -> None:
    model = zoo_more.Maskable()
    session = connected(model)[0].open(2, 14)
    ids = torch.stack([torch.cat([torch.zeros(3, dtype=torch.long), IDS[0, :5]]), IDS[1, :8]])
    mask = torch.tensor([[0] * 3 + [1] * 5, [1] * 8])
    same(session.prefill(ids, mask), torch.stack([truth(model)[0, 4], truth(model)[1, 7]]))
    more = torch.stack([IDS[0, 5:8], IDS[1, 8:11]])
    expected = torch.stack([truth(model)[0, 5:8], truth(model)[1, 8:11]])
    same(session.step(more), expected)
    session.rewind(torch.tensor([2, 2]))
    session.select(torch.tensor([1, 0, 0]))
    same(session.step(more[[1, 0, 0], 1:]), expected[[1, 0, 0], 1:])
    session.close()


def test_a_mask_that_nobody_looks_at_is_refused() -> None:
    session = connected(zoo_more.MaskIgnored())[0].open(2, 14)
    with pytest.raises(ModelError, match="no attention mask"):
        session.prefill(IDS[:2, :4], attention_mask=torch.ones(2, 4))
    session.close()


def test_a_mask_that_is_compulsory_is_given() -> None:
    def strict(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        assert attention_mask.shape == input_ids.shape
        return zoo_more.Maskable()(input_ids, attention_mask)

    gen = Decoder(strict, vocab_size=37, max_length=32, host=HOST).generate(PROMPTS, max_new_tokens=2)
    model = zoo_more.Maskable()
    assert gen.tokens == [greedy(lambda ids: truth(model, ids), prompt, 2) for prompt in PROMPTS]
