"""The four formulas of `mix`: transformers' guidance, and the papers' formulas in plain loops."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small_models import VOCAB, InputPos, llama, model_of, plain, worse
from torch import Tensor
from transformers.generation.logits_process import UnbatchedClassifierFreeGuidanceLogitsProcessor as Guidance

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput, ModelError

PROMPTS = [[5, 6, 7, 8], [4, 9, 2], [11, 12, 13, 14, 15]]
NEGATIVES = [[7, 7], [8, 2, 6], [20]]


def logits_of(model: Any, ids: list[int]) -> Tensor:
    """(V,) float64 after these ids, without a cache."""
    with torch.no_grad():
        out = model(torch.tensor([ids]))
    return (out if isinstance(out, Tensor) else out.logits)[0, -1].double()


def greedy(score: Any, prompt: list[int], others: list[list[int]], count: int = 12) -> list[int]:
    """A plain loop: `score(own text, other texts)` -> (V,)."""
    new: list[int] = []
    for _ in range(count):
        new.append(int(score(prompt + new, [other + new for other in others]).argmax()))
    return new


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("negative", [False, True])
def test_cfg_is_transformers_guidance(negative: bool, do_sample: bool) -> None:
    model = model_of("llama")
    for scale in (1.5, 3.0):
        for prompt, other in zip(PROMPTS, NEGATIVES, strict=True):
            ids = torch.tensor([prompt])
            guidance = Guidance(scale, model, unconditional_ids=torch.tensor([other]) if negative else None)
            torch.manual_seed(3)
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                logits_processor=[guidance],
                do_sample=do_sample,
                top_k=0,
                max_new_tokens=12,
                pad_token_id=0,
                eos_token_id=3,
            )
            pipe = Pipeline().stop("eos").stop("max_new_tokens", 12).compat("hf")
            pipe = pipe.with_strategy("mix", formula="cfg", guidance_scale=scale, do_sample=do_sample)
            roles = {"negative": [other]} if negative else None
            found = Decoder(model, pipe).generate([prompt], seed=3, role_prompts=roles)
            assert found.tokens[0] == out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_ragged_batch_is_mixed_row_by_row(kind: str, compat: bool) -> None:
    model = model_of(kind)
    amateur = worse(model, 0.5)
    pipe = Pipeline().stop("max_new_tokens", 12)
    pipe = pipe.compat("hf") if compat else pipe
    decoder = Decoder(
        model,
        pipe.with_strategy("mix", formula="contrastive", alpha=0.1, beta=0.5),
        models={"amateur": amateur},
        pad_token_id=0,
    )

    def score(own: list[int], others: list[list[int]]) -> Tensor:
        expert, weak = logits_of(model, own), logits_of(amateur, own)
        chances = expert.softmax(-1)
        return (1.5 * expert - 0.5 * weak).where(chances >= 0.1 * chances.max(), -torch.inf)

    assert decoder.generate(PROMPTS).tokens == [greedy(score, prompt, []) for prompt in PROMPTS]


def test_context_aware_and_experts_are_the_papers_formulas() -> None:
    model, good, bad = plain(), worse(plain(), 0.4), worse(plain(), 0.8)
    pipe = Pipeline().stop("max_new_tokens", 12)
    aware = Decoder(model, pipe.with_strategy("mix", formula="context_aware", alpha=0.7))

    def context(own: list[int], others: list[list[int]]) -> Tensor:
        return 1.7 * logits_of(model, own) - 0.7 * logits_of(model, others[0])

    wanted = [greedy(context, p, [o]) for p, o in zip(PROMPTS, NEGATIVES, strict=True)]
    assert aware.generate(PROMPTS, role_prompts={"without": NEGATIVES}).tokens == wanted

    def experts(own: list[int], others: list[list[int]]) -> Tensor:
        return logits_of(model, own) + 0.6 * (logits_of(good, own) - logits_of(bad, own))

    decoder = Decoder(
        model,
        pipe.with_strategy("mix", formula="experts", alpha=0.6),
        models={"expert": good, "anti_expert": bad},
    )
    assert decoder.generate(PROMPTS).tokens == [greedy(experts, p, []) for p in PROMPTS]


def test_what_is_missing_is_named() -> None:
    def refused(match: str, model: Any = None, models: Any = None, **params: Any) -> None:
        pipe = Pipeline().with_strategy("mix", **params)
        with pytest.raises(InvalidInput, match=match):
            Decoder(model or plain(), pipe, models=models).generate([[4, 5]])

    refused("'amateur'", formula="contrastive")
    refused("'expert'", formula="experts")
    refused("'anti_expert'", formula="experts", models={"expert": plain()})
    refused("without its context", formula="context_aware")
    refused("no tokenizer", formula="cfg", negative_prompt="bad")
    pipe = Pipeline().with_strategy("mix", formula="cfg")
    with pytest.raises((InvalidInput, ModelError), match="cache"):
        Decoder(InputPos(plain()), pipe).generate([[4, 5]])
    other = llama()
    other.resize_token_embeddings(VOCAB + 4)
    with pytest.raises(InvalidInput, match="the model of the role 'amateur' has"):
        Decoder(llama(), models={"amateur": other})


def test_a_model_with_one_cache_works_with_a_copy_in_the_role() -> None:
    pipe = Pipeline().stop("max_new_tokens", 12).with_strategy("mix", formula="cfg", guidance_scale=2.0)
    model = InputPos(plain())
    cached = Decoder(model, pipe, models={"negative": copy.deepcopy(model)})
    found = cached.generate(PROMPTS, role_prompts={"negative": NEGATIVES})
    assert (
        found.tokens == Decoder(plain(), pipe).generate(PROMPTS, role_prompts={"negative": NEGATIVES}).tokens
    )


def test_the_shorter_context_of_another_model_ends_the_row() -> None:
    model, amateur = plain(), InputPos(worse(plain(), 0.3), 12)
    pipe = Pipeline().stop("max_new_tokens", 40).with_strategy("mix", formula="contrastive")
    found = Decoder(model, pipe, models={"amateur": amateur}).generate([[4, 5], [4, 5, 6, 7]])
    assert found.finish_reasons == ["context", "context"]
    assert [len(row) for row in found.tokens] == [10, 8]
