"""One batch on a transformers encoder-decoder: the encoder once, then the decoder with both of its caches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput, ModelError
from ..calling import Call, name_of, run
from ..forward import Forward, refuse_mask, uniform_count

if TYPE_CHECKING:
    from .hf_encoder_decoder import HfEncoderDecoder


class HfEncoderDecoderSession:
    """What the encoder made of the prompts, its mask (B, S), and a cache of the model's own kind."""

    def __init__(self, owner: HfEncoderDecoder, model: Callable[..., Any] | None = None) -> None:
        self._owner = owner
        self._fed: Tensor | None = None
        self._cache: Any = owner.new_cache()
        self._encoded: Any = None
        self._mask: Tensor | None = None
        self._inputs: dict[str, Any] = {}
        self._forward = Forward(
            owner.model if model is None else model,
            owner.call,
            owner.evaluation,
            owner.facts.device,
            owner.width,
        )
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
        argument, count = self._owner.cache_argument, tokens.shape[1]
        inputs: dict[str, Any] = {"encoder_outputs": self._encoded, "return_dict": True, **self._inputs}
        if self._owner.cached:
            inputs |= {argument: self._cache, "use_cache": True}
        else:
            tokens = tokens if self._fed is None else torch.cat([self._fed, tokens], dim=1)  # (B, T + K)
            self._fed, inputs["use_cache"] = tokens, False
        if self._mask is not None and "attention_mask" in self._owner.call.accepts:
            inputs["attention_mask"] = self._mask
        if self._watched:
            inputs["output_hidden_states"] = True
        output: Any = self._forward.run(tokens, inputs)
        if self._watched:
            kept = [output.decoder_hidden_states[layer] for layer in self._watched]
            self._hidden = torch.stack(kept)[:, :, -count:]  # L x (B, T, H) -> (L, B, K, H)
        self._cache = getattr(output, argument, self._cache)
        return self._forward.found_in(output, *tokens.shape)[:, -count:]

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows, the encoder's with the decoder's."""
        if self._fed is None:
            self._cache.reorder_cache(rows.to(self._owner.facts.device))
        else:
            self._fed = self._fed[rows.to(self._fed.device)]
        self._take_encoded(rows)

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: take that many of the decoder's tokens back."""
        if self._owner.facts.capabilities.rewind == "none":
            raise ModelError(
                f"the cache of {name_of(self._owner.model)} cannot take tokens back: it keeps a window of them",
                remedy="feed the session anew",
            )
        if not (count := uniform_count(counts)):
            return
        if self._fed is None:
            # Negative: the number to remove, in every version of transformers.
            self._cache.crop(-count)
        else:
            self._fed = self._fed[:, :-count]

    def close(self) -> None:
        self._cache = self._encoded = self._fed = None
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
