"""The random transformer is a real one: causal, every token and position matters, the same in every process."""

from __future__ import annotations

import torch

from decodery import Decoder, Pipeline
from decodery.testing import RandomTransformer

IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]])


def test_it_is_causal() -> None:
    model = RandomTransformer(10)
    whole = model(IDS)
    for length in range(1, IDS.shape[1]):
        torch.testing.assert_close(model(IDS[:, :length]), whole[:, :length], atol=1e-5, rtol=1e-5)


def test_every_earlier_token_and_its_place_matter() -> None:
    model = RandomTransformer(10)
    newest = model(IDS)[:, -1]
    for place in range(IDS.shape[1]):
        other = IDS.clone()
        other[:, place] = (other[:, place] + 1) % 10
        assert (model(other)[:, -1] - newest).abs().max() > 1e-3
    assert (model(IDS.flip(1))[:, -1] - newest).abs().max() > 1e-3


def test_it_is_the_same_every_time_and_another_for_another_seed() -> None:
    assert torch.equal(RandomTransformer(10)(IDS), RandomTransformer(10)(IDS))
    assert not torch.equal(RandomTransformer(10, seed=1)(IDS), RandomTransformer(10)(IDS))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    RandomTransformer(10)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_decoder_drives_it() -> None:
    pipe = Pipeline().with_strategy("sample", seed=1).stop("max_new_tokens", 12)
    tokens = Decoder(RandomTransformer(10), pipe).generate([[1], [2, 3]]).tokens
    assert [len(row) for row in tokens] == [12, 12]
    assert len({*tokens[0], *tokens[1]}) > 3
