"""Decoder: a model, a recipe and a tokenizer; text in, text out."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import torch

from ..contracts.errors import InvalidInput
from ..contracts.protocols import Observer
from ..host.registry import Host
from ..models.options import check_model
from ..recipe.recipe import Recipe
from .calls.call import Call
from .calls.opening import Setting
from .calls.wishes import Wishes, check_wishes
from .inspect import connect_model
from .io.arguments import as_device, as_eos
from .io.generation import Generation
from .io.prompts import Prompts, as_token_lists, check_ids, check_range
from .io.rows import Event
from .io.tokenizer import as_tokenizer
from .pipeline import Pipeline

RecipeLike = str | os.PathLike[str] | Recipe | Pipeline | Mapping[str, object]


class Decoder:
    """Decodes any torch model from a recipe.

    model         a plain callable `model(x) -> logits`, a module with its own cache `model(x, input_pos)`, or a
                  transformers causal LM
    recipe        a path, the name of a recipe in the box, a Recipe, a Pipeline, a dict; None is greedy
    tokenizer     transformers', `tokenizers`', or any object with encode and decode; needed for text only
    adapter       how to drive the model: "auto", a name, or {"name": ..., **options}
    vocab_size, eos_token_id, pad_token_id, max_length
                  facts of the model, where it does not say them itself
    device        moves the model there first

    Raises `ModelError` for a model that no adapter can drive, `RecipeError`, `InvalidInput`.
    """

    def __init__(
        self,
        model: Any,
        recipe: RecipeLike | None = None,
        *,
        tokenizer: Any = None,
        adapter: str | Mapping[str, Any] = "auto",
        vocab_size: int | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        pad_token_id: int | None = None,
        max_length: int | None = None,
        device: torch.device | str | None = None,
        host: Host | None = None,
    ) -> None:
        self.host = host or Host()
        self.pipeline = as_pipeline(recipe, self.host)
        self.tokenizer = None if tokenizer is None else as_tokenizer(tokenizer)
        check_model(model)
        if device is not None:
            device = as_device(device)
            model = model.to(device) if hasattr(model, "to") else model
        self.model, self.report = connect_model(
            model,
            adapter=adapter,
            vocab_size=vocab_size,
            max_length=max_length,
            device=device,
            host=self.host,
        )
        facts, known = self.model.facts, self.tokenizer
        check_ids(facts.vocab_size, eos_token_id=as_eos(eos_token_id), pad_token_id=as_eos(pad_token_id))
        eos = as_eos(eos_token_id) or facts.eos or (known.eos if known else ())
        pad = next(
            (p for p in (pad_token_id, facts.pad, known.pad if known else None) if p is not None), None
        )
        self._bos = facts.bos if facts.bos is not None else known.bos if known else None
        self._setting = Setting(self.model, known, eos, pad)
        if known and facts.vocab_size is not None and known.size > facts.vocab_size:
            raise InvalidInput(
                f"the tokenizer has {known.size} tokens, the model's vocabulary {facts.vocab_size}",
                remedy="use the tokenizer that the model was trained with",
            )

    def generate(
        self,
        prompts: Prompts,
        *,
        n: int = 1,
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
        max_new_tokens: int | None = None,
        logprobs: int | None = None,
        return_scores: bool = False,
        observers: Sequence[Observer] = (),
    ) -> Generation:
        """Decode every prompt to its end.

        prompts         text, texts, token ids (one list or several), LongTensor (T,) or (B, T)
        n               samples of each prompt; they stand together in the result
        seed, seeds     one for the call, or one a prompt: a row's draws depend on nothing else
        max_new_tokens  in place of the recipe's
        logprobs        K: each token's log-probability, raw and processed, and the K best of each
        return_scores   keep the processed scores

        Raises `InvalidInput` for a prompt that cannot be used, `BadRow` for NaN or fully banned scores.
        """
        wishes = check_wishes(n, seed, seeds, max_new_tokens, logprobs, return_scores, observers)
        call = self._call(prompts, wishes)
        for _ in call.steps():
            pass
        return call.result()

    def stream(
        self,
        prompts: Prompts,
        *,
        n: int = 1,
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
        max_new_tokens: int | None = None,
        logprobs: int | None = None,
        observers: Sequence[Observer] = (),
    ) -> Stream:
        """The same, token by token: iterate for events, then read `.result`."""
        wishes = check_wishes(n, seed, seeds, max_new_tokens, logprobs, False, observers)
        return Stream(self._call(prompts, wishes))

    def _call(self, prompts: Prompts, wishes: Wishes) -> Call:
        facts = self.model.facts
        ids = as_token_lists(prompts, self.tokenizer, self._bos)
        check_range(ids, facts.vocab_size, facts.max_length)
        return Call(self._setting, self.pipeline, ids, wishes)


class Stream:
    """An iterator of `Event`s. `result` is the `Generation`, complete once the iterator is exhausted."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._events: Generator[Event, None, None] = call.events()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """End the stream and give the model's session back; `with decoder.stream(...) as stream:` does it too."""
        self._events.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def result(self) -> Generation:
        """What was decoded so far; rows that are not finished say "interrupted"."""
        return self._call.result()


def as_pipeline(recipe: RecipeLike | None, host: Host) -> Pipeline:
    """Anything that `Decoder` takes for a recipe."""
    if isinstance(recipe, Pipeline):
        return recipe
    if recipe is None:
        return Pipeline(host=host)
    if isinstance(recipe, Mapping):
        recipe = Recipe.from_dict(recipe, host=host)
    if isinstance(recipe, str) and "\n" in recipe:
        raise InvalidInput("the recipe is text, not a path or a name", remedy="Recipe.loads(text) reads it")
    if not isinstance(recipe, (Recipe, str, os.PathLike)):
        raise InvalidInput(
            f"the recipe is a {type(recipe).__name__}",
            remedy="give a path, a name, a dict, a Recipe or a Pipeline",
        )
    if not isinstance(recipe, Recipe):
        recipe = Recipe.load(recipe, host=host)
    return Pipeline.from_recipe(recipe, host)
