"""Whole runs on a CUDA device: a Llama of 1.24B random parameters (Llama-3.2-1B's shape), bfloat16, batch 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline

from .measure import Comparison, medians

TOKENS, FEW = 512, 64
SPREAD = 8.0
"""Random weights give logits as flat as no trained model's, and in bfloat16 most of them tied: these are spread."""
PROMPT = torch.arange(1, 17).unsqueeze(0)
SAMPLING = {"do_sample": True, "repetition_penalty": 1.1, "temperature": 0.8, "top_k": 50, "top_p": 0.95}


def run(rounds: int = 3) -> Iterator[Comparison]:
    """The full recipe and greedy by each way of `compile`, a token, against transformers' `generate`."""
    if not torch.cuda.is_available():
        return
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=4096,
        eos_token_id=None,
        pad_token_id=0,
        dtype=torch.bfloat16,
    )
    with torch.device("cuda"):
        model: Any = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(SPREAD)
    base = Pipeline().stop("max_new_tokens", TOKENS)
    chain = base.add("repetition_penalty", 1.1).add("temperature", 0.8).add("top_k", 50).add("top_p", 0.95)
    chain = chain.with_strategy("sample", seed=1)
    prompt = PROMPT.cuda()

    def theirs(arguments: dict[str, Any]) -> None:
        model.generate(prompt, max_new_tokens=FEW, **arguments)
        torch.cuda.synchronize()

    def peer(name: str) -> float:
        """Seconds a token, measured beside each of ours: the host's speed, which it waits for, changes."""
        arguments = {"do_sample": False} if name == "greedy" else SAMPLING
        return medians({"peer": lambda: theirs(arguments)}, rounds)["peer"] / FEW

    pipes = {"recipe": chain, "recipe, compat hf": chain.compat("hf"), "greedy": base}
    for way in ("none", "graph", "full"):
        for name, pipe in pipes.items():
            decoder = Decoder(model, pipe, compile=way)  # type: ignore[arg-type]
            title, generate = f"1.24B bfloat16, {name}", peer(name)
            least = 12.0 if way != "none" and name != "greedy" else None

            def ours(count: int, decoder: Decoder = decoder) -> object:
                return decoder.generate(prompt, max_new_tokens=count)

            once = medians({"run": lambda ours=ours: ours(FEW)}, rounds)["run"]
            yield Comparison(f"{title}, {FEW} tokens, each", way, once / FEW, "generate", generate, least)
            if way != "none":
                times = medians(
                    {"run": lambda ours=ours: ours(TOKENS), "half": lambda ours=ours: ours(TOKENS // 2)},
                    rounds,
                )
                later = (times["run"] - times["half"]) / (TOKENS - TOKENS // 2)
                yield Comparison(f"{title}, once captured, each", way, later, "generate", generate, least)
