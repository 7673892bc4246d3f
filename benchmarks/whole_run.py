"""Whole runs on one tiny Llama: `Decoder.generate` against transformers' `generate` and the bare forward."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline

from .measure import Comparison, backends, medians, using

TOKENS = 64
PROMPT = torch.arange(1, 17).unsqueeze(0)


def run(rounds: int = 15) -> Iterator[Comparison]:
    """Greedy and a sampling chain with `compat: hf`, a token; equal tokens are checked before timing."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    base = Pipeline().compat("hf").stop("max_new_tokens", TOKENS)
    chain = base.add("repetition_penalty", 1.1).add("temperature", 0.8).add("top_k", 50).add("top_p", 0.95)
    sampling = {"do_sample": True, "repetition_penalty": 1.1, "temperature": 0.8, "top_k": 50, "top_p": 0.95}
    yield from _against_generate("greedy run", model, base, {"do_sample": False}, rounds)
    yield from _against_generate("sampling run", model, chain.with_strategy("sample"), sampling, rounds)


def _against_generate(
    title: str, model: Any, pipe: Pipeline, arguments: dict[str, Any], rounds: int
) -> Iterator[Comparison]:
    def theirs() -> list[int]:
        torch.manual_seed(1)
        return model.generate(PROMPT, max_new_tokens=TOKENS, **arguments)[0, 16:].tolist()  # type: ignore[no-any-return]

    for backend in backends():
        with using(backend):
            decoder = Decoder(model, pipe)

            def ours(decoder: Decoder = decoder) -> list[int]:
                torch.manual_seed(1)
                return decoder.generate(PROMPT).tokens[0]

            tokens = ours()
            if tokens != theirs():
                raise SystemExit(f"{title}: the tokens are not transformers'")

            def bare(tokens: list[int] = tokens) -> None:
                _forwards(model, tokens)

            times = medians({"ours": ours, "theirs": theirs, "bare": bare}, rounds)
        each = {name: seconds / TOKENS for name, seconds in times.items()}
        least = {"torch": 1.9, "native": 2.5}.get(backend) if "sampling" in title else None
        yield Comparison(f"{title}, a token", backend, each["ours"], "generate", each["theirs"], least)
        if "greedy" in title:
            overhead, peer = each["ours"] - each["bare"], each["theirs"] - each["bare"]
            yield Comparison(f"{title}, beyond the bare forward", backend, overhead, "generate", peer, 3.0)


@torch.inference_mode()
def _forwards(model: Any, tokens: list[int]) -> None:
    """The model's own work for these tokens, and nothing else."""
    # transformers 5.24 renamed the argument; the old name costs a warning at every call.
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    given = {name: DynamicCache(config=model.config), "use_cache": True, "logits_to_keep": 1}
    model(PROMPT, **given)
    for token in tokens[:-1]:
        model(torch.tensor([[token]]), **given)
