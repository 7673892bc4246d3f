"""transformers' encoder-decoders: the encoder once, then the decoder with both of its caches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...contracts.errors import InvalidInput, ModelError
from ...contracts.protocols import Capabilities, EncoderFacts, ModelFacts, Options
from ..calling import Call, module_of, name_of, read_call, run
from ..facts import facts_of, first_number
from ..forward import Forward, refuse_mask, uniform_count
from ..keeping.module import EvalMode
from ..options import check_options, check_width, told_width
from .hf import cache_argument, head_width, keeps_everything

DECODER_CONTEXT = ("max_target_positions", "max_decoder_position_embeddings", "max_position_embeddings")
ENCODER_CONTEXT = ("max_encoder_position_embeddings", "max_position_embeddings")


def probe(model: object, options: Options) -> str | None:
    """A `PreTrainedModel` that can generate and says that it is an encoder-decoder."""
    # Whoever made such an object has imported this module already; nobody else should have to wait for it.
    modeling = sys.modules.get("transformers.modeling_utils")
    module = module_of(model)
    if modeling is None or not isinstance(module, modeling.PreTrainedModel) or not module.can_generate():
        return None
    accepts = read_call(model).accepts
    if not getattr(module.config, "is_encoder_decoder", False) or not cache_argument(accepts):
        return None
    if not {"decoder_input_ids", "encoder_outputs"} <= accepts:
        return None
    return (
        f"{name_of(model)} is a transformers encoder-decoder that generates, with {cache_argument(accepts)}"
    )


class HfEncoderDecoder:
    """Opens sessions on an encoder-decoder transformers model. Raises `ModelError` for one that is none.

    Options: `decoder_start_token_id`, where neither the configuration nor its bos says it.
    """

    trusted = True  # transformers tests these classes itself: detection asks them nothing

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        check_options(options, "hf_encoder_decoder", ("decoder_start_token_id",))
        if probe(model, options) is None:
            raise ModelError(
                f"{name_of(model)} is no transformers encoder-decoder that generates",
                remedy="adapter='auto' finds out what it is",
            )
        module: Any = module_of(model)
        self.model, self.config = model, module.config
        accepts = read_call(model).accepts
        self.call = Call(tokens="decoder_input_ids", accepts=accepts)
        self.cache_argument = cache_argument(accepts)
        self.evaluation = EvalMode(module)
        self.encoder: Any = module.get_encoder()
        self.features = str(getattr(self.encoder, "main_input_name", module.main_input_name))
        self.encoder_accepts = read_call(self.encoder).accepts
        self.width = told_width(options)
        check_width(self.width, head_width(module), name_of(model))
        self._facts = self._read_facts(module, options)

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> HfEncoderDecoderSession:
        return HfEncoderDecoderSession(self)

    def new_cache(self) -> Any:
        """What `generate` starts from: an empty cache for self-attention, another for cross-attention."""
        # Late, to keep transformers out of the start-up of everything else.
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache  # noqa: PLC0415

        config = self.config.get_text_config(decoder=True)
        return EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))

    def _read_facts(self, module: Any, options: Options) -> ModelFacts:
        config, decoder = self.config, getattr(self.config, "decoder", None)
        generation = getattr(module, "generation_config", None)
        sources = [s for s in (generation, config.get_text_config(decoder=True), config) if s is not None]
        rewinds = keeps_everything(self.new_cache())
        capabilities = Capabilities(select=True, hidden=True, rewind="uniform" if rewinds else "none")
        facts = facts_of(model=self.model, options=options, capabilities=capabilities, sources=sources)
        if "max_length" not in options:
            # Beside an own configuration `n_positions` is T5's, whose relative positions have no end.
            own = [] if decoder is None else [decoder]
            names = (*DECODER_CONTEXT, "n_positions") if own else DECODER_CONTEXT
            facts = replace(facts, max_length=first_number(names, own or [config]))
        starts = [options, generation, config]
        start = next((n for s in starts if (n := _id(s, "decoder_start_token_id")) is not None), facts.bos)
        embedded = _embedded(self.encoder)
        encoder = EncoderFacts(
            start=start,
            max_length=first_number(ENCODER_CONTEXT, [getattr(self.encoder, "config", config)]),
            vocab_size=embedded,
            takes_ids=self.features == "input_ids",
            repeats=True,
        )
        return replace(facts, encoder=encoder)


class HfEncoderDecoderSession:
    """What the encoder made of the prompts, its mask (B, S), and a cache of the model's own kind."""

    def __init__(self, owner: HfEncoderDecoder) -> None:
        self._owner = owner
        self._cache: Any = owner.new_cache()
        self._encoded: Any = None
        self._mask: Tensor | None = None
        self._inputs: dict[str, Any] = {}
        self._forward = Forward(owner.model, owner.call, owner.evaluation, owner.facts.device, owner.width)
        self._watched: tuple[int, ...] = ()
        self._hidden: Tensor | None = None

    def watch(self, layers: Sequence[int]) -> None:
        """Keep the outputs of these layers of the decoder from now on; 0 are the embeddings, -1 is the last one."""
        self._watched = tuple(layers)

    def hidden(self) -> Tensor:
        """(L, B, K, H): what the layers watched gave for the columns of the last call."""
        if self._hidden is None:
            raise ModelError("no layers were watched", remedy="call watch before the first forward")
        return self._hidden

    def prefill(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        encoder_ids: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        **model_inputs: Any,
    ) -> Tensor:
        """(B, T) int64 for the decoder, (P, S) int64 and its mask or features for the encoder -> (B, V). P divides B:
        each row of the encoder's is that of B / P rows of the decoder's."""
        refuse_mask(attention_mask, self._owner.model)
        owner, device = self._owner, self._owner.facts.device
        inputs = {name: _placed(value, device, owner.facts.dtype) for name, value in model_inputs.items()}
        if encoder_ids is not None:
            inputs[owner.features] = encoder_ids.to(device)
        if encoder_mask is not None:
            self._mask = encoder_mask.to(device)
        elif encoder_ids is not None:
            self._mask = torch.ones_like(encoder_ids, device=device)
        self._check(inputs)
        self._encode(inputs)
        # What the decoder takes too goes with each of its calls, as in `generate`.
        self._inputs = {
            n: v for n, v in inputs.items() if n in owner.call.accepts and n not in owner.encoder_accepts
        }
        count = self._rows()
        if len(input_ids) != count:
            self._take_encoded(torch.arange(count).repeat_interleave(len(input_ids) // count))
        return self.step(input_ids)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        argument = self._owner.cache_argument
        inputs: dict[str, Any] = {
            "encoder_outputs": self._encoded,
            argument: self._cache,
            "use_cache": True,
            "return_dict": True,
            **self._inputs,
            **({"output_hidden_states": True} if self._watched else {}),
        }
        if self._mask is not None and "attention_mask" in self._owner.call.accepts:
            inputs["attention_mask"] = self._mask
        output: Any = self._forward.run(tokens, inputs)
        if self._watched:
            self._hidden = torch.stack([output.decoder_hidden_states[layer] for layer in self._watched])
        self._cache = getattr(output, argument, self._cache)
        return self._forward.found_in(output, *tokens.shape)

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows, the encoder's with the decoder's."""
        self._cache.reorder_cache(rows.to(self._owner.facts.device))
        self._take_encoded(rows)

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: take that many of the decoder's tokens back."""
        if self._owner.facts.capabilities.rewind == "none":
            raise ModelError(
                f"the cache of {name_of(self._owner.model)} cannot take tokens back: it keeps a window of them",
                remedy="feed the session anew",
            )
        if count := uniform_count(counts):
            # Negative: the number to remove, in every version of transformers.
            self._cache.crop(-count)

    def close(self) -> None:
        self._cache = self._encoded = None
        self._forward.close()

    def _rows(self) -> int:
        return int(self._encoded[0].shape[0])

    def _take_encoded(self, rows: Tensor) -> None:
        """(B',) int64: what the encoder made, of these rows."""
        count, rows = self._rows(), rows.to(self._owner.facts.device)
        self._mask = None if self._mask is None else self._mask[rows]
        for name, value in list(self._encoded.items()):
            self._encoded[name] = _selected(value, rows, count)
        self._inputs = {name: _selected(value, rows, count) for name, value in self._inputs.items()}

    def _check(self, inputs: Mapping[str, Any]) -> None:
        owner = self._owner
        if owner.features not in inputs and "inputs_embeds" not in inputs:
            raise InvalidInput(
                f"{name_of(owner.model)} was given nothing to encode",
                remedy=f"give prompts, or model_inputs={{{owner.features!r}: ...}}",
            )
        unknown = sorted(inputs.keys() - owner.encoder_accepts - owner.call.accepts)
        if unknown:
            known = ", ".join(sorted(owner.encoder_accepts))
            raise InvalidInput(
                f"{name_of(owner.model)} has no input {unknown[0]!r}", remedy=f"its encoder takes {known}"
            )

    def _encode(self, inputs: dict[str, Any]) -> None:
        owner = self._owner
        inputs = {name: value for name, value in inputs.items() if name in owner.encoder_accepts}
        if self._mask is not None and "attention_mask" in owner.encoder_accepts:
            inputs["attention_mask"] = self._mask
        call = Call(
            tokens=owner.features if owner.features in inputs else "inputs_embeds",
            shown=".get_encoder()(...)",
        )
        main = inputs.pop(call.tokens)
        with self._forward.mode():
            self._encoded = run(owner.encoder, call, main, {**inputs, "return_dict": True})


def _selected(value: Any, rows: Tensor, count: int) -> Any:
    """Tensors with a row for each of `count` -> those of `rows`; everything else as it is."""
    if isinstance(value, tuple):
        return tuple(_selected(item, rows, count) for item in value)
    along = isinstance(value, Tensor) and value.ndim > 0 and len(value) == count
    return value[rows.to(value.device)] if along else value


def _placed(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A tensor where the model is, in its precision; a processor's features are float32 on the CPU."""
    if not isinstance(value, Tensor):
        return value
    return value.to(device=device, dtype=dtype if value.is_floating_point() else value.dtype)


def _id(source: Any, name: str) -> int | None:
    value = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _embedded(encoder: Any) -> int | None:
    """The encoder's vocabulary, where it embeds ids."""
    try:
        table = encoder.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    return table.num_embeddings if isinstance(table, nn.Embedding) else None
