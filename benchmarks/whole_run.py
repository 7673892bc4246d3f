"""Whole runs on the same tiny Llama: `Decoder.generate` against transformers' `generate`, microseconds a token."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline

from .measure import medians, report

TOKENS = 64


def run(rounds: int = 9) -> None:
    """Greedy and a sampling chain with `compat: hf`; equal tokens are checked before timing."""
    torch.set_num_threads(1)
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
    prompt = torch.arange(1, 17).unsqueeze(0)
    base = Pipeline().compat("hf").stop("max_new_tokens", TOKENS)
    chain = base.add("repetition_penalty", 1.1).add("temperature", 0.8).add("top_k", 50).add("top_p", 0.95)
    settings = {
        "greedy": (base, {"do_sample": False}),
        "sampling": (
            chain.with_strategy("sample"),
            {"do_sample": True, "repetition_penalty": 1.1, "temperature": 0.8, "top_k": 50, "top_p": 0.95},
        ),
    }
    for name, (pipe, arguments) in settings.items():
        decoder = Decoder(model, pipe)

        def ours(decoder: Decoder = decoder) -> list[int]:
            torch.manual_seed(1)
            return decoder.generate(prompt).tokens[0]

        def theirs(arguments: dict[str, object] = arguments) -> list[int]:
            torch.manual_seed(1)
            return model.generate(prompt, max_new_tokens=TOKENS, **arguments)[0, 16:].tolist()

        if ours() != theirs():
            raise SystemExit(f"{name}: the tokens are not transformers'")
        times = medians({"decodery": ours, "transformers": theirs}, rounds)
        report(f"run, {name}, a token", times, "transformers", unit=1e6 / TOKENS)
