"""The demo model, `model(x, input_pos)` in plain torch: `Decoder` against the loop that one writes by hand with
transformers' processors."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from decodery import Decoder, Pipeline
from decodery_demo.load import load

from .measure import Comparison, medians

TOKENS = 64


def run(rounds: int = 11) -> Iterator[Comparison]:
    """A sampling run, a token; equal tokens are checked before timing."""
    model, tokenizer = load()
    prompt = torch.tensor([tokenizer.encode("Once upon a time there was").ids])
    length = prompt.shape[1] + TOKENS
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.1),
            TemperatureLogitsWarper(0.8),
            TopKLogitsWarper(50),
            TopPLogitsWarper(0.95),
        ]
    )

    @torch.no_grad()
    def by_hand() -> list[int]:
        torch.manual_seed(1)
        model.setup_caches(1, length)
        x, positions = prompt, torch.arange(prompt.shape[1])
        logits = model(x, positions)
        for _ in range(TOKENS):
            scores = processors(x, logits[:, -1].clone())
            token = torch.multinomial(scores.softmax(-1), 1)
            x = torch.cat((x, token), dim=1)
            if x.shape[1] < length:
                logits = model(token, torch.tensor([x.shape[1] - 1]))
        model.reset_caches()
        return x[0, prompt.shape[1] :].tolist()  # type: ignore[no-any-return]

    chain = Pipeline().add("repetition_penalty", 1.1).add("temperature", 0.8).add("top_k", 50)
    pipe = chain.add("top_p", 0.95).compat("hf").with_strategy("sample").stop("max_new_tokens", TOKENS)
    for way in ("none", "full"):
        decoder = Decoder(model, pipe, compile=way)  # type: ignore[arg-type]

        def ours(decoder: Decoder = decoder) -> list[int]:
            torch.manual_seed(1)
            return decoder.generate(prompt).tokens[0]

        expected = by_hand()
        if way == "none" and ours() != expected:  # a compiled forward rounds in its own way
            raise SystemExit("the tokens are not those of the loop by hand")
        times = medians({"ours": ours, "hand": by_hand}, rounds)
        least = 3.0 if way == "full" else None
        yield Comparison(
            "demo model, sampling run, a token",
            f"compile={way}",
            times["ours"] / TOKENS,
            "by hand",
            times["hand"] / TOKENS,
            least,
        )
