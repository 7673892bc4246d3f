"""transformers' causal language models with their cache, fed exactly as their own `generate` feeds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput, ModelError
from ...contracts.protocols import Capabilities, ModelFacts, Options
from ..calling import Call, module_of, name_of, read_call
from ..facts import facts_of
from ..forward import Forward, check_context, one_by_one, refuse_mask, uniform_count
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
        check_options(options, "hf", ("cache",))
        self.static = _is_static(options.get("cache", "dynamic"))
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
        cache = self.new_cache(1)
        everything = not self.recurrent and keeps_everything(cache)
        # A gap in a row is hidden by the mask; the tokens after it know their place by position ids. A static cache
        # has no room for gaps.
        gaps = not self.static and {"attention_mask", "position_ids"} <= self.call.accepts
        self.attends = not _only_recurrent(cache)
        self.width = told_width(options)
        check_width(self.width, head_width(module), name_of(model))
        self._facts = facts_of(
            model,
            options,
            Capabilities(
                masks="attention_mask" in self.call.accepts,
                select=True,
                hidden=True,
                rewind="none" if not everything else "ragged" if gaps else "uniform",
                static=self.static,
            ),
            sources=[
                s for s in (getattr(module, "generation_config", None), text, self.config) if s is not None
            ],
        )

        self._facts = replace(
            self._facts,
            layers=getattr(text, "num_hidden_layers", None),
            tied=bool(getattr(text, "tie_word_embeddings", False)),
        )

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
        return StaticCache(config=config, max_cache_len=room)


class HfSession:
    """A cache of the model's own kind, the mask (B, T) if anything is padded, the next positions (B, 1)."""

    def __init__(self, owner: HfModel, batch_size: int, length: int | None = None) -> None:
        self._owner = owner
        self._cache: Any = owner.new_cache(length)
        self._room, self._columns = (length or owner.facts.max_length or _FAR) if owner.static else _FAR, 0
        self._mask: Tensor | None = None
        self._next = torch.zeros(batch_size, 1, dtype=torch.long, device=owner.facts.device)
        self._forward = Forward(owner.model, owner.call, owner.evaluation, owner.facts.device, owner.width)
        self._watched: tuple[int, ...] = ()
        self._hidden: Tensor | None = None

    def watch(self, layers: Sequence[int]) -> None:
        """Keep the outputs of these layers from now on; 0 are the embeddings, -1 is the last layer after its norm."""
        self._watched = tuple(layers)

    def hidden(self) -> Tensor:
        """(L, B, K, H): what the layers watched gave for the columns of the last call."""
        if self._hidden is None:
            raise ModelError("no layers were watched", remedy="call watch before the first forward")
        return self._hidden

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
        if self._owner.static and len(rows) == len(self._next):
            _reorder_in_place(self._cache, rows)
        else:
            self._cache.reorder_cache(rows)
        self._next = self._next[rows]
        self._mask = self._mask[rows] if self._mask is not None else None

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64: take that many tokens back; where the capability is "uniform", all equal."""
        can = self._owner.facts.capabilities.rewind
        if can == "none":
            raise ModelError(
                f"the cache of {name_of(self._owner.model)} cannot take tokens back: it keeps a window or a "
                "recurrent state, not all tokens",
                remedy="adapter='stateless' can, at the price of feeding the whole context each step",
            )
        if can == "ragged" and (self._mask is not None or len(set(counts.tolist())) > 1):
            self._leave_gaps(counts.to(self._next.device))
        elif count := uniform_count(counts):
            self._mask = self._mask[:, :-count] if self._mask is not None else None
            self._next = self._next - count
            self._crop(count)

    def _leave_gaps(self, counts: Tensor) -> None:
        """(B,) int64: hide that many of each row's newest tokens. What is hidden in every row leaves the cache."""
        mask = self._next.new_ones(len(counts), self._columns) if self._mask is None else self._mask
        # Of a row that was rewound before, some of its newest columns are hidden already.
        newer = mask.flip(1).cumsum(1).flip(1)  # (B, T): tokens from here to the end
        mask = mask.masked_fill(newer <= counts.unsqueeze(1), 0)
        kept = int((mask.any(0) * torch.arange(1, mask.shape[1] + 1, device=mask.device)).max())
        self._crop(mask.shape[1] - kept)
        mask = mask[:, :kept]
        self._mask = None if bool(mask.all()) else mask
        self._next = self._next - counts.unsqueeze(1)

    def _crop(self, count: int) -> None:
        if count:
            # Negative: the number to remove, in every version of transformers.
            self._cache.crop(-count)
            self._columns -= count

    def close(self) -> None:
        self._cache = None
        self._forward.close()

    def _logits(self, ids: Tensor, positions: Tensor, columns: int, model_inputs: dict[str, Any]) -> Tensor:
        """(B, K) int64, (B, K) int64 -> (B, columns, V)."""
        self._columns += ids.shape[1]
        check_context(self._columns, self._room, self._owner.model)
        accepts, argument = self._owner.call.accepts, self._owner.cache_argument
        inputs: dict[str, Any] = {argument: self._cache, "use_cache": True, "return_dict": True}
        offered = {"attention_mask": self._mask, "position_ids": positions, "logits_to_keep": columns}
        inputs.update(
            {name: value for name, value in offered.items() if name in accepts and value is not None}
        )
        inputs.update(model_inputs)
        if self._watched:
            inputs["output_hidden_states"] = True
        output: Any = self._forward.run(ids, inputs)
        if self._watched:
            self._hidden = torch.stack([output.hidden_states[layer] for layer in self._watched])
        self._cache = getattr(output, argument, self._cache)
        logits = self._forward.found_in(output, ids.shape[0], ids.shape[1])
        # A view would keep the logits of the whole prompt alive.
        return logits[:, -columns:].clone() if logits.shape[1] > columns else logits


def _is_static(cache: object) -> bool:
    """The option `cache`: "dynamic" grows with the text, "static" is allocated once. Raises `InvalidInput`."""
    if cache not in ("dynamic", "static"):
        raise InvalidInput(f"cache = {cache!r}", remedy="it is 'dynamic' or 'static'")
    return cache == "static"


def _reorder_in_place(cache: Any, rows: Tensor) -> None:
    """(B,) int64: a static cache's tensors stay where they are."""
    for layer in cache.layers:
        for states in (getattr(layer, "keys", None), getattr(layer, "values", None)):
            if isinstance(states, Tensor) and states.numel():
                states.copy_(states.index_select(0, rows.to(states.device)))


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
