"""A transformers model's forward runs in inference mode, and nobody can tell by what it leaves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline
from decodery.models.inference import mend, ordinary, plain_module, untouched

PROMPT = torch.arange(1, 9).unsqueeze(0)


class Noting(torch.nn.Linear):
    """Notes in which mode it was called, and keeps things of each forward on itself."""

    def forward(self, given: Tensor) -> Tensor:
        logits = super().forward(given)
        vars(self).setdefault("modes", []).append(torch.is_inference_mode_enabled())
        self.register_buffer("grown", logits[0, -1, :2] * 2, persistent=False)
        self.last, self.table, self.states = logits.mean(), {"mask": logits > 0}, [logits[:, -1:]]
        return logits


class Learning(torch.nn.Linear):
    """Takes a gradient step inside of its forward, which inference mode forbids."""

    def forward(self, given: Tensor) -> Tensor:
        logits = super().forward(given)
        with torch.enable_grad():
            weight = given.detach().requires_grad_()
            (weight**2).sum().backward()
        return logits


def made(kind: type[torch.nn.Linear] = torch.nn.Linear) -> Any:
    """A Llama whose last layer is of this kind."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    head = kind(16, 64, bias=False)
    head.weight = model.lm_head.weight
    model.lm_head = head.eval()
    return model


def decoded(model: Any, **options: Any) -> list[list[int]]:
    pipe = Pipeline().compat("hf").stop("max_new_tokens", 8)
    return Decoder(model, pipe, **options).generate(PROMPT.repeat(2, 1)).tokens


def test_its_steps_are_in_inference_mode_and_nothing_that_it_keeps_is() -> None:
    model = made(Noting)
    head = model.lm_head
    decoder = Decoder(model, Pipeline().compat("hf").stop("max_new_tokens", 8))
    head.modes = []
    for row in decoder.generate(PROMPT).tokens:
        assert row == model.generate(PROMPT, max_new_tokens=8, do_sample=False)[0, 8:].tolist()
    assert head.modes == [True] * 8 + [False] * 8
    decoder.generate(PROMPT)
    for kept in (head.grown, head.last, head.table["mask"], *head.states):
        assert not kept.is_inference()
    (head.grown * torch.ones(2, requires_grad=True)).sum().backward()


def test_a_forward_that_needs_gradients_gets_them() -> None:
    model = made(Learning)
    assert not Decoder(model).model.inference
    assert decoded(model) == decoded(made())


def test_what_a_hook_sees_may_be_trained_on() -> None:
    model, seen = made(), []
    decoder = Decoder(model, Pipeline().compat("hf").stop("max_new_tokens", 4))
    hook = model.model.norm.register_forward_hook(lambda part, given, answer: seen.append(answer))
    decoder.generate(PROMPT)
    hook.remove()
    assert seen
    assert not any(states.is_inference() for states in seen)


def test_logits_that_anybody_is_shown_are_ordinary() -> None:
    shown: list[Tensor] = []

    class Looking:
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            shown.append(scores)
            return scores

    class Watching:
        wants = frozenset({"scores"})

        def on_scores(self, raw: Tensor, processed: Tensor, active: Tensor) -> None:
            shown.extend((raw, processed))

    class Choosing:
        def choose(self, scores: Tensor, rng: Any) -> Tensor:
            shown.append(scores)
            return scores.argmax(-1)

    model = made()
    for pipe in (Pipeline().add(Looking()), Pipeline().add("top_k", 3).with_strategy("sample", seed=1)):
        for observers in ([], [Watching()]):
            decoder = Decoder(model, pipe.stop("max_new_tokens", 4))
            decoder.generate(PROMPT, observers=observers)
            decoder.generate(PROMPT.repeat(3, 1), observers=observers)
    gen = Decoder(model, Pipeline().stop("max_new_tokens", 3)).generate(PROMPT, return_scores=True)
    shown.extend(gen.scores or ())
    shown.append(gen.sequences)
    assert len(shown) > 20
    assert not any(scores.is_inference() for scores in shown)


def test_who_decodes_in_inference_mode_decodes_in_it() -> None:
    model = made(Noting)
    with torch.inference_mode():
        tokens = decoded(model)
    assert tokens == decoded(made())


def test_a_model_is_left_alone_where_somebody_looks_into_it() -> None:
    model = made()
    assert plain_module(model)
    assert untouched(model)
    assert not plain_module(model.forward)
    assert not plain_module(torch.compile(model, backend="eager"))
    model.model.layers[0].forward = model.model.layers[0].forward
    assert not untouched(model)
    subclass = made()
    subclass.lm_head.weight = type("Quantised", (torch.nn.Parameter,), {})(subclass.lm_head.weight.detach())
    assert not plain_module(subclass)


def test_a_tensor_becomes_ordinary_in_its_own_memory() -> None:
    with torch.inference_mode():
        found = torch.randn(3, 4, 5)[:, -1, 1:]
    twin = ordinary(found)
    assert torch.equal(twin, found)
    assert twin.data_ptr() == found.data_ptr()
    twin += 1
    assert torch.equal(twin, found)
    module = torch.nn.Module()
    with torch.inference_mode():
        module.kept = torch.ones(2)
    mend(module)
    assert not module.kept.is_inference()
