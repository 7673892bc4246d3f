"""transformers' causal language models with their cache, fed exactly as their own `generate` feeds them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import Capabilities, ModelFacts, Options
from ..calling import Call, module_of, name_of, read_call
from ..compiling.compiled import Compiled
from ..facts import facts_of
from ..hf_caches import (
    CACHES,
    cache_argument,
    head_width,
    is_static,
    keeps_everything,
    only_recurrent,
    without_windows,
)
from ..inference import plain_module
from ..keeping.module import EvalMode
from ..options import check_options, check_width, told_width
from ..probing.prove import Proof, lied, proved
from .hf_session import HfSession


def probe(model: object, options: Options) -> str | None:
    """A `PreTrainedModel` that can generate and whose forward takes a cache."""
    # Whoever made such an object has imported this module already; nobody else should have to wait for it.
    modeling = sys.modules.get("transformers.modeling_utils")
    module = module_of(model)
    if modeling is None or not isinstance(module, modeling.PreTrainedModel):
        return None
    if getattr(module.config, "is_encoder_decoder", False):
        return None
    argument = cache_argument(read_call(model).accepts)
    if not module.can_generate() or not argument:
        return None
    # A few old or odd ones (Reformer, XLNet, RWKV ...) keep something else under that name.
    if not getattr(module, "_supports_default_dynamic_cache", lambda: True)():
        return None
    # RecurrentGemma keeps its state in the module, where sessions would share it and rows cannot be reordered.
    if any(hasattr(part, "recurrent_states") for part in module.modules()):
        return None
    return f"{name_of(model)} is a transformers model that generates, with {argument}"


class HfModel:
    """Opens sessions on a decoder-only transformers model.

    Its cache, and whether padding is looked at, are proved once a module, on a few tokens: classes of anybody's
    inherit from `PreTrainedModel`. Options: `cache` ("dynamic" or "static"), `verify` (False to trust it). Raises
    `ModelError` for an encoder-decoder, and where steps with the cache are not those of the whole context.
    """

    trusted = True  # what detection would ask is proved here

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        check_options(options, "hf", ("cache", "verify"), without=("time_first",))
        told = options.get("compile", "none")
        self.static = is_static(options.get("cache", "dynamic" if told == "none" else "static"))
        self.compiled: Compiled | None = None
        module: Any = module_of(model)
        self.config: Any = getattr(module, "config", None)
        if self.config is None or not callable(getattr(self.config, "get_text_config", None)):
            raise ModelError(
                f"{name_of(model)} is no transformers model: it has no config of theirs",
                remedy="adapter='auto' finds out what it is",
            )
        if getattr(self.config, "is_encoder_decoder", False):
            raise ModelError(
                f"{name_of(model)} is an encoder-decoder; adapter 'hf' drives decoder-only models",
                remedy="adapter='hf_encoder_decoder' drives it",
            )
        self.model = model
        self.call = Call(tokens="input_ids", accepts=read_call(model).accepts, pick=options.get("logits"))
        self.cache_argument = cache_argument(self.call.accepts)
        if not self.cache_argument:
            raise ModelError(
                f"{name_of(model)} takes no cache: none of {', '.join(CACHES)}",
                remedy="adapter='stateless' feeds the whole context each step",
            )
        self.evaluation = EvalMode(module)
        text = self.config.get_text_config(decoder=True)
        # A recurrent state is right for one new token a call only, and cannot go back.
        self.recurrent = bool(getattr(module, "_is_stateful", False))
        cache = self.new_cache(1)
        self.everything = not self.recurrent and keeps_everything(cache)
        self.attends = not only_recurrent(cache)
        self.width = told_width(options)
        check_width(self.width, head_width(module) if self.call.pick is None else None, name_of(model))
        self._facts = facts_of(
            model,
            options,
            self._able(padding=True),
            sources=[
                s for s in (getattr(module, "generation_config", None), text, self.config) if s is not None
            ],
        )
        self._facts = replace(
            self._facts,
            layers=getattr(text, "num_hidden_layers", None),
            tied=bool(getattr(text, "tie_word_embeddings", False)),
        )
        self.difference: float | None = None
        self.compared, self.evidence = 0, ""
        self.warnings: tuple[str, ...] = ()
        # Proved with the cache: whoever does not want the proof gets the mode of transformers' own generate.
        self.inference = options.get("verify", True) and not self.static and plain_module(model)
        if options.get("verify", True):
            self._adopt(self._proof())
        if told == "full":
            self.compiled = Compiled(model, self._facts.device)

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def head(self, states: Tensor) -> Tensor:
        """(..., H) -> (..., V): the output layer alone."""
        module: Any = module_of(self.model)
        logits: Tensor = module.get_output_embeddings()(states)
        return logits if self.width is None else logits[..., : self.width]

    def open(self, batch_size: int, length: int | None) -> HfSession:
        return HfSession(self, batch_size, length)

    def begin(self, rows: int, length: int, model: Callable[..., Any]) -> HfSession:
        """A session that calls `model`, the one inside of a wrapper for example."""
        return HfSession(self, rows, length, model)

    def _able(self, *, padding: bool) -> Capabilities:
        """`padding`: a left-padded row is answered like the row alone."""
        taken = "attention_mask" in self.call.accepts
        # A gap in a row is hidden by the mask; the tokens after it know their place by position ids. A static cache
        # has no room for gaps.
        gaps = padding and not self.static and {"attention_mask", "position_ids"} <= self.call.accepts
        return Capabilities(
            masks=taken and padding,
            pads=taken,
            select=True,
            hidden=True,
            rewind="none" if not self.everything else "ragged" if gaps else "uniform",
            static=self.static,
        )

    def _proof(self) -> Proof:
        manner = f"{self.static}, {self.call.pick!r}, {self.width}"
        if self.inference:
            proof = proved(self, f"{manner}, inference")
            if not proof.untried and proof.difference <= proof.allowed:
                return proof
            self.inference = False  # its forward may need what inference mode forbids
        return proved(self, manner)

    def _adopt(self, proof: Proof) -> None:
        """Raises `ModelError` when cache and context disagree."""
        name = name_of(self.model)
        if proof.untried:
            self.evidence = f"not verified, as {proof.untried}"
            return
        if proof.difference > proof.allowed:
            raise ModelError(
                lied(name, self.cache_argument, proof),
                remedy="adapter='stateless' feeds the whole context each step and needs no cache; "
                "adapter={'name': 'hf', 'verify': False} trusts it",
            )
        self.difference, self.compared = proof.difference, proof.compared
        if proof.padded > proof.allowed:
            self._facts = replace(self._facts, capabilities=self._able(padding=False))
            self.warnings = (
                f"{name} takes an attention_mask, but a left-padded row is not answered like the row alone "
                f"(log-probabilities differ by {proof.padded:.3g}): rows of unequal length are fed in lockstep; "
                "compat: hf pads them all the same, as its generate does",
            )

    def new_cache(self, length: int | None) -> Any:
        """What `generate` starts from: an empty cache whose layers follow the configuration."""
        # Late, to keep transformers out of the start-up of everything else.
        from transformers.cache_utils import DynamicCache, StaticCache  # noqa: PLC0415

        config = self.config.get_text_config(decoder=True)
        if not self.static:
            return DynamicCache(config=config)
        room = length or self._facts.max_length
        if room is None:
            raise ModelError(
                f"a static cache of {name_of(self.model)} needs to know how long the text can be",
                remedy="give a stop rule max_new_tokens, or Decoder(max_length=...)",
            )
        return without_windows(StaticCache(config=config, max_cache_len=room), room)
