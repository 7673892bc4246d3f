"""Encoder-decoders of one's own, given by their two halves.

`encode(ids (B, S)) -> memory`, `decode(ids (B, T), memory) -> logits (B, T, V)`, or hidden states with a head beside.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ...contracts.errors import InvalidInput, ModelError
from ...contracts.protocols import Capabilities, EncoderFacts, ModelFacts, Options
from ..calling import Call, module_of, name_of, run
from ..facts import facts_of
from ..keeping.module import EvalMode, left_as_found
from ..options import check_options, told_width
from ..probing.probes import LENGTH, observe
from ..probing.verify import random_ids
from .encoder_decoder_session import EncoderDecoderSession

OPTIONS = ("encode", "decode", "decoder_start_token_id", "encoder_max_length")
TARGETS = (
    "decoder_input_ids", "tgt", "trg", "target", "targets", "tgt_tokens", "prev_output_tokens", "decoder_ids",
    "output_tokens", "y", "tokens", "input_ids", "ids", "idx", "x",
)  # fmt: skip
"""What projects call the decoder's ids."""
MEMORY = (
    "memory", "encoded", "enc", "encoder_out", "encoder_output", "encoder_outputs", "encoder_hidden_states",
    "encoder_states", "enc_out", "enc_output", "enc_outputs", "memory_bank", "audio_features", "image_features",
    "xa", "context", "cond",
)  # fmt: skip
"""What they call that which the encoder made."""


@dataclass(frozen=True, slots=True)
class Roles:
    """How `decode` is called: by name where its names say which is which, else (ids, memory) by place."""

    ids: str = ""
    memory: str = ""


def probe(model: object, options: Options) -> str | None:
    """A module with methods `encode` and `decode` whose `decode` names ids and memory; or both as options."""
    if "encode" in options and "decode" in options:
        return "encode= and decode= were given"
    module = module_of(model)
    encode, decode = getattr(module, "encode", None), getattr(module, "decode", None)
    if module is None or not callable(encode) or not callable(decode):
        return None
    roles = read_roles(decode)
    wants = [name for name, p in inspect.signature(encode).parameters.items() if p.default is p.empty]
    if not roles.ids or len(wants) != 1:
        return None
    return f"{name_of(model)} has encode({wants[0]}) and decode({roles.ids}, {roles.memory})"


def read_roles(decode: Callable[..., Any]) -> Roles:
    """Which arguments of `decode` take the ids and the memory; no names where it does not say, or wants more."""
    try:
        named = inspect.signature(decode.forward if isinstance(decode, nn.Module) else decode).parameters
    except (TypeError, ValueError):
        return Roles()
    ids = next((name for name in TARGETS if name in named), "")
    memory = next((name for name in MEMORY if name in named and name != ids), "")
    wanted = {name for name, p in named.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    return Roles(ids, memory) if ids and memory and wanted <= {ids, memory} else Roles()


class EncoderDecoder:
    """Opens sessions on a model given by its two halves.

    Options: `encode` and `decode`, functions or names on the model ("encode", "model.encoder"); `logits`, a head (or
    its name) for a decoder that returns hidden states, or what other adapters take; `decoder_start_token_id`;
    `encoder_max_length`. Prompts of unequal length are encoded and decoded apart, so no mask is asked for. Raises
    `ModelError` where a trial fails.
    """

    trusted = True  # tried here, with something to encode

    def __init__(self, model: Any, options: Options) -> None:
        check_options(options, "encoder_decoder", OPTIONS)
        self.model = model
        self.encode = _part(model, options.get("encode", "encode"), "encode")
        self.decode = _part(model, options.get("decode", "decode"), "decode")
        self.call = Call(
            shown=" of (ids, memory)",
            time_first=bool(options.get("time_first")),
            pick=_pick(model, options.get("logits")),
        )
        self.roles = read_roles(self.decode)
        self.width = told_width(options)
        self.evaluation = EvalMode(module_of(model))
        facts = facts_of(model, options, Capabilities(select=True, rewind="uniform"))
        start = options.get(
            "decoder_start_token_id", getattr(module_of(model), "decoder_start_token_id", None)
        )
        if start is not None and (isinstance(start, bool) or not isinstance(start, int) or start < 0):
            raise InvalidInput(f"decoder_start_token_id = {start!r}", remedy="give a token id")
        encoder = EncoderFacts(
            start=facts.bos if start is None else start, max_length=options.get("encoder_max_length")
        )
        self._facts = replace(facts, encoder=encoder)
        self.warnings = self._tried()

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> EncoderDecoderSession:
        return EncoderDecoderSession(self)

    def decoded(self, ids: Tensor, memory: Any) -> object:
        """(B, T) int64, whatever `encode` returned -> whatever `decode` returns."""
        ids_name, memory_name = self.roles.ids, self.roles.memory
        if not ids_name:
            return self.decode(ids, memory)
        return self.decode(**{ids_name: ids, memory_name: memory})

    def encoded(self, main: Tensor, rest: Mapping[str, Any]) -> Any:
        """(B, S) int64 or features, and further inputs by name -> whatever `encode` returns."""
        return run(self.encode, Call(), main.to(self._facts.device), dict(rest))

    def _tried(self) -> tuple[str, ...]:
        """Warnings about the decoder's behaviour after something random. Raises `ModelError` where it fails."""
        name = name_of(self.model)
        with left_as_found(module_of(self.model)):
            read = random_ids(1, LENGTH, self._facts.vocab_size)
            trial = _Trial(self, read)
            try:
                session = self.open(1, None)
                session.encode(read)
            except ModelError as error:
                return (f"{name} was not tried, since its encoder takes no ids: {error.message}",)
            finally:
                session.close()
            return tuple(observe(trial, name))


class _Trial:
    """The model after a prompt, so that its decoder can be tried like any other."""

    def __init__(self, owner: EncoderDecoder, read: Tensor) -> None:
        self._owner, self._read = owner, read

    @property
    def facts(self) -> ModelFacts:
        return self._owner.facts

    def open(self, batch_size: int, length: int | None) -> Any:
        return _TrialSession(self._owner.open(batch_size, length), self._read.expand(batch_size, -1))


class _TrialSession:
    def __init__(self, inner: EncoderDecoderSession, read: Tensor) -> None:
        self._read, self.step, self.close = read, inner.step, inner.close
        self._inner = inner

    def prefill(self, input_ids: Tensor) -> Tensor:
        return self._inner.prefill(input_ids, encoder_ids=self._read)


def _part(model: Any, part: Any, option: str) -> Callable[..., Any]:
    """A function as it is, a dotted name as the model's own. Raises `ModelError`."""
    if not isinstance(part, str):
        if callable(part):
            return part  # type: ignore[no-any-return]
        raise InvalidInput(f"{option} = {part!r:.60}", remedy="give a function, or a name on the model")
    found: Any = module_of(model) or model
    for name in part.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        raise ModelError(
            f"{name_of(model)} has no {part!r} to call",
            remedy=f"adapter={{'name': 'encoder_decoder', {option!r}: a function, or a name on the model}}",
        )
    return found  # type: ignore[no-any-return]


def _pick(model: Any, logits: Any) -> Any:
    """The option `logits`: a name of the model's head is the head; everything else as for other adapters."""
    named = getattr(module_of(model), logits, None) if isinstance(logits, str) else None
    return logits if named is None else named
