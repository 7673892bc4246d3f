"""transformers' causal language models with their cache, fed exactly as their own `generate` feeds them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import Capabilities, ModelFacts, Options
from ..calling import Call, module_of, name_of, read_call
from ..facts import facts_of
from ..forward import Forward, one_by_one, refuse_mask, uniform_count
from ..keeping.module import EvalMode
from ..options import check_options, check_width, told_width

CACHES = ("past_key_values", "cache", "cache_params")
"""What transformers calls the argument that takes a cache; newer releases say `cache`, older Mambas `cache_params`."""

_FAR = 2**40


def cache_argument(accepts: frozenset[str]) -> str:
    """The name of the argument that takes the cache, "" if there is none."""
    return next((name for name in CACHES if name in accepts), "")


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
    """Opens sessions on a decoder-only transformers model. Raises `ModelError` for an encoder-decoder."""

    trusted = True  # transformers tests these classes itself: detection asks them nothing

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        check_options(options, "hf")
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
        self.call = Call(tokens="input_ids", accepts=read_call(model).accepts)
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
        cache = self.new_cache()
        rewinds = not self.recurrent and keeps_everything(cache)
        self.attends = not _only_recurrent(cache)
        self.width = told_width(options)
        check_width(self.width, head_width(module), name_of(model))
        self._facts = facts_of(
            model,
            options,
            Capabilities(
                masks="attention_mask" in self.call.accepts,
                select=True,
                rewind="uniform" if rewinds else "none",
            ),
            sources=[
                s for s in (getattr(module, "generation_config", None), text, self.config) if s is not None
            ],
        )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> HfSession:
        return HfSession(self, batch_size)

    def new_cache(self) -> Any:
        """What `generate` starts from: an empty cache whose layers follow the configuration."""
        # Late, to keep transformers out of the start-up of everything else.
        from transformers.cache_utils import DynamicCache  # noqa: PLC0415

        return DynamicCache(config=self.config.get_text_config(decoder=True))


class HfSession:
    """A cache of the model's own kind, the mask (B, T) if anything is padded, the next positions (B, 1)."""

    def __init__(self, owner: HfModel, batch_size: int) -> None:
        self._owner = owner
        self._cache: Any = owner.new_cache()
        self._mask: Tensor | None = None
        self._next = torch.zeros(batch_size, 1, dtype=torch.long, device=owner.facts.device)
        self._forward = Forward(owner.model, owner.call, owner.evaluation, owner.facts.device, owner.width)

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64, (B, T) 0 on left padding -> (B, V)."""
        device = self._owner.facts.device
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mask = mask.to(device=device, dtype=torch.long)
        # generation/utils.py, `_prepare_position_ids_for_generation`: padding is at position 0.
        positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)
        # The same file drops a mask of ones, which lets attention take its faster path and its rounding.
        self._mask = None if bool((mask == 1).all()) else mask
        if not self._owner.facts.capabilities.masks:
            refuse_mask(self._mask, self._owner.model)
        self._next = positions[:, -1:] + 1
        return self._logits(input_ids, positions, 1, model_inputs)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        if tokens.shape[1] > 1 and self._owner.recurrent:
            return torch.cat(
                [self.step(token) for token in one_by_one(tokens)], dim=1
            )  # K x (B, 1, V) -> (B, K, V)
        count = tokens.shape[1]
        if not self._owner.attends:
            # The state has swallowed the padding; nothing is left of it to be masked.
            self._mask = None
        positions = self._next
        if count > 1:
            positions = positions + torch.arange(count, device=positions.device)  # (B, 1) + (K,) -> (B, K)
        self._next = positions[:, -1:] + 1
        if self._mask is not None:
            # A long row ends with its context, and waits there for the shorter ones beside it.
            limit = self._owner.facts.max_length or _FAR
            self._mask = torch.cat([self._mask, (positions < limit).to(self._mask)], dim=1)
            positions = positions.clamp(max=limit - 1)
        return self._logits(tokens, positions, count, {})

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows."""
        rows = rows.to(self._next.device)
        self._cache.reorder_cache(rows)
        self._next = self._next[rows]
        self._mask = self._mask[rows] if self._mask is not None else None

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: take that many tokens back."""
        if self._owner.facts.capabilities.rewind == "none":
            raise ModelError(
                f"the cache of {name_of(self._owner.model)} cannot take tokens back: it keeps a window or a "
                "recurrent state, not all tokens",
                remedy="adapter='stateless' can, at the price of feeding the whole context each step",
            )
        count = uniform_count(counts)
        if count:
            # Negative: the number to remove, in every version of transformers.
            self._cache.crop(-count)
            self._next = self._next - count
            self._mask = self._mask[:, :-count] if self._mask is not None else None

    def close(self) -> None:
        self._cache = None
        self._forward.close()

    def _logits(self, ids: Tensor, positions: Tensor, columns: int, model_inputs: dict[str, Any]) -> Tensor:
        """(B, K) int64, (B, K) int64 -> (B, columns, V)."""
        accepts, argument = self._owner.call.accepts, self._owner.cache_argument
        inputs: dict[str, Any] = {argument: self._cache, "use_cache": True, "return_dict": True}
        offered = {"attention_mask": self._mask, "position_ids": positions, "logits_to_keep": columns}
        inputs.update(
            {name: value for name, value in offered.items() if name in accepts and value is not None}
        )
        inputs.update(model_inputs)
        output: Any = self._forward.run(ids, inputs)
        self._cache = getattr(output, argument, self._cache)
        logits = self._forward.found_in(output, ids.shape[0], ids.shape[1])
        # A view would keep the logits of the whole prompt alive.
        return logits[:, -columns:].clone() if logits.shape[1] > columns else logits


def head_width(module: Any) -> int | None:
    """How many logits the output layer gives, where there is one to ask."""
    weight = getattr(module.get_output_embeddings(), "weight", None)
    return int(weight.shape[0]) if isinstance(weight, Tensor) and weight.dim() == 2 else None


def _only_recurrent(cache: Any) -> bool:
    """No layer attends to earlier tokens."""
    linear = getattr(cache, "is_linear", False)
    return isinstance(linear, list) and bool(linear) and all(linear)


def keeps_everything(cache: Any) -> bool:
    """All layers hold every token, so that the newest can be cut off: no window, no recurrent state."""
    sliding = cache.is_sliding
    windows = any(sliding) if isinstance(sliding, list) else bool(sliding)
    return not windows and bool(getattr(cache, "is_croppable", True))
