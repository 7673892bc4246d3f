"""A step at work on a real row: the demonstration model's logits, through the engine, as a loop of one's own would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from step_examples import BOX, END, Example
from step_examples_samplers import SAMPLERS
from torch import Tensor

from decodery import Pipeline
from decodery.host.registry import Host
from decodery_demo.load import load

PLUGIN = "decodery-samplers"
EXAMPLES = {**BOX, **{f"{PLUGIN}/{name}": example for name, example in SAMPLERS.items()}}


@dataclass(frozen=True, slots=True)
class Acted:
    """(V,) float32 scores of a row before and after, and the text of every token."""

    before: Tensor
    after: Tensor
    text: Callable[[int], str]


@cache
def demo() -> tuple[Any, Any]:
    """The model and its tokenizer."""
    return load()


def acted(name: str, example: Example, before_last: Callable[[], object] = int) -> Acted:
    """What the processor `name` does to the row that the model gives after the example's text. `before_last` is called
    before the call that is shown."""
    model, tokenizer = demo()
    prompt = tokenizer.encode(example.prompt).ids
    ids = torch.tensor([prompt + (tokenizer.encode(example.new).ids if example.new else [])])
    with torch.no_grad():
        logits = model(ids)[0].float()  # (1, T, V) -> (T, V)
    logits[-1, logits[-1].topk(example.spoilt).indices] = torch.nan
    pipe = Pipeline(host=Host(selection=PLUGIN)).add(name, **example.params)
    bound = pipe.bind(
        prompt=ids[:, : len(prompt)],
        vocab_size=logits.shape[-1],
        eos_token_id=example.eos,
        tokenizer=tokenizer,
        encoder_ids=torch.tensor([tokenizer.encode(example.encoder).ids]) if example.encoder else None,
        seed=1,
    )
    after = logits
    for length in range(len(prompt), ids.shape[1] + 1):  # a step that keeps state sees every token come
        if length == ids.shape[1]:
            before_last()
        after = bound(ids[:, :length], logits[length - 1 : length])
    return Acted(logits[-1], after[0], lambda token: tokenizer.decode([token]) if token != END else "the end")
