"""Decoder: a model, a recipe and a tokenizer; text in, text out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch

from ..contracts.errors import InvalidInput
from ..contracts.protocols import DecodableModel, Observer
from ..host.registry import Host
from ..models.options import check_model
from ..models.prompt_cache import CachingModel
from ..models.sliding import Overflow, slide_where_asked
from ..recipe.recipe import Recipe
from .calls.call import Call
from .calls.opening import Setting
from .calls.stream import Stream
from .calls.wishes import Wishes, check_wishes
from .graph.asked import Compile, check_compile
from .inspect import connect_model
from .io.arguments import as_device, as_eos, as_whole, by_role
from .io.generation import Generation
from .io.given import as_given
from .io.prompts import Prompts, as_token_lists, check_ids, check_range
from .io.rows import Event
from .io.tokenizer import as_tokenizer
from .pipeline import Pipeline

RecipeLike = str | os.PathLike[str] | Recipe | Pipeline | Mapping[str, object]


class Decoder:
    """Decodes any torch model from a recipe.

    model         a plain callable `model(x) -> logits`, a module with its own cache `model(x, input_pos)`, or a
                  transformers causal LM or encoder-decoder
    recipe        a path, the name of a recipe in the box, a Recipe, a Pipeline, a dict; None is greedy
    tokenizer     transformers', `tokenizers`', or any object with encode and decode; needed for text only
    adapter       how to drive the model: "auto", a name, or {"name": ..., **options}
    models        further models by the roles that a strategy names: {"draft": small}; a model, or a Decoder whose
                  adapter and options are to be used
    vocab_size, eos_token_id, pad_token_id, max_length
                  facts of the model, where it does not say them itself
    device        moves the model there first
    overflow      what happens to a row that fills the context: "stop" ends it with the reason `context`; "slide"
                  goes on with its newest tokens, fed again at each step; {"slide": K} cuts to K tokens and lets
                  the context fill up again, which feeds seldom

    compile       "graph" holds forward, processors, draw and history of a step in one CUDA graph; "full" compiles the
                  forward as well, on a CPU too. For models whose cache stays where it is: `setup_caches` and
                  `input_pos`, or a transformers model, which gets a static cache
    cache_prompt  keep the model's session after a call of one row, and feed the next one only what its prompt has
                  beyond the beginning that they share; `forget()` gives it back

    Raises `ModelError` for a model that no adapter can drive, `RecipeError`, `InvalidInput`.
    """

    def __init__(
        self,
        model: Any,
        recipe: RecipeLike | None = None,
        *,
        tokenizer: Any = None,
        adapter: str | Mapping[str, Any] = "auto",
        models: Mapping[str, Any] | None = None,
        vocab_size: int | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        pad_token_id: int | None = None,
        max_length: int | None = None,
        device: torch.device | str | None = None,
        overflow: Overflow = "stop",
        compile: Compile = "none",
        cache_prompt: bool = False,
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
            compile=compile,
            host=self.host,
        )
        self._cache = CachingModel(self.model) if cache_prompt and self.model.facts.encoder is None else None
        self.model = slide_where_asked(self._cache or self.model, overflow)
        facts, known = self.model.facts, self.tokenizer
        check_compile(compile, facts, self.report.adapter)
        pad_token_id = as_whole("pad_token_id", pad_token_id, 0)
        check_ids(facts.vocab_size, eos_token_id=as_eos(eos_token_id), pad_token_id=as_eos(pad_token_id))
        eos = as_eos(eos_token_id) or facts.eos or (known.eos if known else ())
        pad = next(
            (p for p in (pad_token_id, facts.pad, known.pad if known else None) if p is not None), None
        )
        self._bos = facts.bos if facts.bos is not None else known.bos if known else None
        roles = {
            role: connected_role(role, other, facts.vocab_size, device, self.host)
            for role, other in by_role("models", models).items()
        }
        self._setting = Setting(
            self.model, known, eos, pad, roles, facts.device.type == "cuda" and compile != "none"
        )
        if known and facts.vocab_size is not None and known.size > facts.vocab_size:
            raise InvalidInput(
                f"the tokenizer has {known.size} tokens, the model's vocabulary {facts.vocab_size}",
                remedy="use the tokenizer that the model was trained with",
            )

    def generate(
        self,
        prompts: Prompts | None = None,
        *,
        n: int | None = None,
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
        max_new_tokens: int | None = None,
        logprobs: int | None = None,
        return_scores: bool = False,
        observers: Sequence[Observer] = (),
        model_inputs: Mapping[str, Any] | None = None,
        decoder_prompts: Prompts | None = None,
        role_prompts: Mapping[str, Prompts] | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> Generation:
        """Decode every prompt to its end.

        prompts         text, texts, token ids (one list or several), LongTensor (T,) or (B, T)
        n               samples of each prompt (1, or what the recipe's strategy says); they stand together
        seed, seeds     one for the call, or one a prompt: a row's draws depend on nothing else
        max_new_tokens  in place of the recipe's
        logprobs        K: each token's log-probability, raw and processed, and the K best of each
        return_scores   keep the processed scores
        model_inputs    further arguments of the model by name (features, pixels, attention_mask ...); tensors
                        whose first dimension is the number of prompts go with the rows
        decoder_prompts what an encoder-decoder's decoder goes on from, one for all or one a prompt; prompts go
                        to its encoder, and may be absent where features take their place
        role_prompts    what a strategy's further runs begin with, by role: {"negative": texts}, one for all or one
                        a prompt
        on_event        called with each event of the stream as it comes

        Ctrl-C ends the call early: rows that are not finished say "interrupted".
        Raises `InvalidInput` for a prompt that cannot be used, `BadRow` for NaN or fully banned scores.
        """
        wishes = check_wishes(n, seed, seeds, max_new_tokens, logprobs, return_scores, observers)
        call = self._call(prompts, wishes, model_inputs, decoder_prompts, role_prompts)
        try:
            if on_event is None:
                for _ in call.steps():
                    pass
            else:
                with closing(call.events()) as events:
                    for event in events:
                        on_event(event)
        except KeyboardInterrupt:
            pass  # what was decoded by now is worth having: unfinished rows say "interrupted"
        return call.result()

    def stream(
        self,
        prompts: Prompts | None = None,
        *,
        n: int | None = None,
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
        max_new_tokens: int | None = None,
        logprobs: int | None = None,
        observers: Sequence[Observer] = (),
        model_inputs: Mapping[str, Any] | None = None,
        decoder_prompts: Prompts | None = None,
        role_prompts: Mapping[str, Prompts] | None = None,
    ) -> Stream:
        """The same, token by token: iterate for events, with `for` or `async for`, then read `.result`."""
        wishes = check_wishes(n, seed, seeds, max_new_tokens, logprobs, False, observers)
        return Stream(self._call(prompts, wishes, model_inputs, decoder_prompts, role_prompts))

    def forget(self) -> None:
        """Give the session back that `cache_prompt` keeps. Whoever changes the model's weights, or uses the cache that
        is in it, does this first."""
        if self._cache is not None:
            self._cache.keep(None)

    def _call(
        self,
        prompts: Prompts | None,
        wishes: Wishes,
        model_inputs: Mapping[str, Any] | None,
        decoder_prompts: Prompts | None,
        role_prompts: Mapping[str, Prompts] | None,
    ) -> Call:
        given = as_given(
            prompts,
            model_inputs,
            decoder_prompts,
            facts=self.model.facts,
            tokenizer=self.tokenizer,
            bos=self._bos,
            eos=self._setting.eos,
            pad=self._setting.pad,
            rectangle=self.pipeline.compatibility == "hf",
        )
        beside = {
            role: self._beside(role, texts, len(given.prompts))
            for role, texts in by_role("role_prompts", role_prompts).items()
        }
        return Call(self._setting, self.pipeline, given, replace(wishes, role_prompts=beside))

    def _beside(self, role: str, prompts: Prompts, count: int) -> list[list[int]]:
        """What the runs of a further model begin with, one a prompt."""
        facts = self.model.facts
        found = as_token_lists(prompts, self.tokenizer, self._bos)
        check_range(found, facts.vocab_size, facts.max_length)
        if len(found) not in (1, count):
            raise InvalidInput(
                f"role_prompts[{role!r}] are {len(found)} for {count} prompts",
                remedy="give one, or one a prompt",
            )
        return found * count if len(found) == 1 else found


def connected_role(
    role: str, model: Any, vocab_size: int | None, device: torch.device | str | None, host: Host
) -> DecodableModel:
    """A further model, ready to open sessions. Raises `InvalidInput` when its vocabulary is another one."""
    if isinstance(model, Decoder):
        connected = model.model
    else:
        check_model(model)
        if device is not None and hasattr(model, "to"):
            model = model.to(as_device(device))
        connected = connect_model(model, device=device, host=host)[0]
    other = connected.facts.vocab_size
    if None not in (other, vocab_size) and other != vocab_size:
        raise InvalidInput(
            f"the model of the role {role!r} has {other} tokens, the decoded one {vocab_size}",
            remedy="use models of one tokenizer; vocab_size= of a Decoder of its own cuts a padded vocabulary",
        )
    return connected


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
