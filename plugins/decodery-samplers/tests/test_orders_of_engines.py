"""The recipes of the package: each engine's order, the neutral ones idle, the others what the engine computes."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from sampler_rows import best_first, softmax, thousand_rows

from decodery import Decoder, Recipe
from decodery_demo.load import load
from decodery_samplers.plugin import RECIPES

IDS = torch.tensor([[1, 2, 3, 1]])
DEMO = cache(load)

ORDERS = {
    "llama.cpp": "logit_bias repetition_penalty frequency_penalty presence_penalty dry top_n_sigma top_k typical_p "
    "top_p min_p xtc dynamic_temperature",
    "llama.cpp-mirostat": "logit_bias repetition_penalty frequency_penalty presence_penalty temperature",
    "vllm": "allowed_tokens banned_tokens min_new_tokens logit_bias repetition_penalty frequency_penalty "
    "presence_penalty temperature min_p top_k top_p",
    "tgw": "repetition_penalty presence_penalty frequency_penalty dry top_n_sigma temperature dynamic_temperature "
    "quadratic top_k top_p typical_p epsilon_cutoff eta_cutoff tail_free top_a min_p adaptive_p xtc",
    "kobold": "logit_bias dry repetition_penalty top_k top_a tail_free typical_p top_p min_p dynamic_temperature "
    "quadratic xtc",
    "mlx": "logit_bias repetition_penalty presence_penalty frequency_penalty top_p min_p xtc top_k temperature",
    "exllamav2": "repetition_penalty frequency_penalty presence_penalty logit_bias dry temperature quadratic top_k "
    "top_p top_a min_p tail_free typical_p xtc skew",
}


def test_every_recipe_has_its_engines_order() -> None:
    assert set(ORDERS) == set(RECIPES)
    for name, order in ORDERS.items():
        assert [step.spec.name for step in Recipe.load(name).processors] == order.split(), name


@pytest.mark.parametrize("name", ["vllm", "tgw", "mlx"])
def test_what_is_neutral_changes_nothing(name: str) -> None:
    bound = Recipe.load(name).pipeline().bind(prompt=IDS, vocab_size=64, eos_token_id=2, seed=1)
    for rows in thousand_rows():
        if rows.shape[1] == 64:
            assert torch.equal(bound(IDS, rows[:1]), rows[:1])


def test_llama_cpps_defaults_are_its_chain_written_out() -> None:
    rows = torch.cat([rows for rows in thousand_rows() if rows.shape[1] == 300])
    ids = torch.full((len(rows), 4), 1)
    bound = Recipe.load("llama.cpp").pipeline().bind(prompt=ids, vocab_size=300, eos_token_id=2, seed=1)
    for row, answer in zip(rows.double().numpy(), bound(ids, rows).double().numpy(), strict=True):
        left = [token for token in best_first(row)[:40] if np.isfinite(row[token])]
        p, held = softmax(row[left]), 0.0
        nucleus = []
        for token, mass in zip(left, p, strict=True):
            nucleus.append(token)
            held += mass
            if held >= 0.95:
                break
        p = softmax(row[nucleus])
        margin = np.abs(p / p.max() - 0.05).min(initial=1.0)
        if abs(held - 0.95) < 1e-6 or margin < 1e-6:
            continue  # float32 may fall on either side
        likely = [token for token, mass in zip(nucleus, p, strict=True) if mass >= 0.05 * p.max()]
        found = np.flatnonzero(np.isfinite(answer))
        # Of tied best tokens the built-in top_p keeps the last; the sizes agree.
        assert sorted(row[likely]) == sorted(row[found])
        np.testing.assert_allclose(answer[found], row[found] / 0.8, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_decodes(name: str) -> None:
    model, tokenizer = DEMO()
    row = Decoder(model, name, tokenizer=tokenizer).generate("Once upon a time", seed=1, max_new_tokens=3)[0]
    assert 1 <= len(row.tokens) <= 3


def test_xtc_works_under_a_greedy_strategy() -> None:
    """Where temperature 0 stops the chain, XTC is silently gone."""
    scores = torch.tensor([[0.5, 0.3, 0.2]]).log()
    pipe = Recipe.load("llama.cpp", overrides=["xtc.probability=1", "min_p=0"]).pipeline()
    greedy = pipe.with_strategy("greedy").bind(prompt=torch.tensor([[0]]), vocab_size=3, eos_token_id=2)
    assert greedy.pick(torch.tensor([[0]]), scores).tolist() == [2]
    assert not math.isnan(float(greedy(torch.tensor([[0]]), scores)[0, 2]))
