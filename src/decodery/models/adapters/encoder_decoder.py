"""Encoder-decoders of one's own: the prompt is encoded once, and the decoder is called with its whole text.

`encode(ids (B, S)) -> memory`, `decode(ids (B, T), memory) -> logits (B, T, V)`, or hidden states with a head beside.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...contracts.errors import InvalidInput, ModelError
from ...contracts.protocols import Capabilities, EncoderFacts, ModelFacts, Options
from ..calling import Call, module_of, name_of, run
from ..facts import facts_of
from ..forward import Forward, check_context, refuse_mask, uniform_count
from ..keeping.module import EvalMode, left_as_found
from ..options import check_options, told_width
from ..probing.probes import LENGTH, observe
from ..probing.verify import random_ids

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


class EncoderDecoderSession:
    """Ids of all rows, (B, T) int64, what their encoder reads, and what it made of it, a group a prompt length."""

    def __init__(self, owner: EncoderDecoder) -> None:
        self._owner = owner
        device = owner.facts.device
        self._ids = torch.zeros(0, 0, dtype=torch.long, device=device)
        self._read: list[Tensor] = []
        self._features: dict[str, Any] = {}
        self._groups: list[tuple[Tensor, Any]] | None = None
        self._forward = Forward(owner.decoded, owner.call, owner.evaluation, device, owner.width)

    def prefill(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        encoder_ids: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        **model_inputs: Any,
    ) -> Tensor:
        """(B, T) int64 for the decoder, (B, S) int64 and its mask or features for the encoder -> (B, V)."""
        refuse_mask(attention_mask, self._owner.model)
        if encoder_ids is None and not model_inputs:
            raise InvalidInput(
                f"{name_of(self._owner.model)} was given nothing to encode",
                remedy="give prompts or model_inputs=",
            )
        self._features = model_inputs
        if encoder_ids is not None:
            seen = torch.ones_like(encoder_ids) if encoder_mask is None else encoder_mask
            self._read = [ids[kept.bool()] for ids, kept in zip(encoder_ids, seen, strict=True)]
        return self._extended(input_ids, 1)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        return self._extended(tokens, tokens.shape[1])

    def step_last(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, V) after the last of them."""
        return self._extended(tokens, 1)[:, -1]

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows. What was encoded is kept where each row reads what it read."""
        count, host_rows = len(self._ids), rows.tolist()
        self._ids = self._ids[rows.to(self._ids.device)]
        read = [self._read[row] for row in host_rows] if self._read else []
        same = bool(self._read) and len(read) == count and all(map(torch.equal, read, self._read))
        if not same or self._features:
            self._groups = None
        self._read = read
        self._features = {name: _selected(value, rows, count) for name, value in self._features.items()}

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal: take that many of the decoder's tokens back."""
        self._ids = self._ids[:, : self._ids.shape[1] - uniform_count(counts)]

    def close(self) -> None:
        self._groups = None
        self._forward.close()

    def _extended(self, tokens: Tensor, columns: int) -> Tensor:
        device = self._owner.facts.device
        old = self._ids if len(self._ids) else self._ids.new_zeros(len(tokens), 0)
        longer = torch.cat([old, tokens.to(device)], dim=1)  # (B, T) + (B, K) -> (B, T + K)
        check_context(longer.shape[1], self._owner.facts.max_length, self._owner.model)
        if self._groups is None:
            self._groups = self._encoded(len(longer))
        answers = [
            (rows, self._forward.logits(longer[rows], columns, {"memory": memory}))
            for rows, memory in self._groups
        ]
        self._ids = longer
        if len(answers) == 1:
            return answers[0][1]
        whole = answers[0][1].new_empty(len(longer), *answers[0][1].shape[1:])
        for rows, logits in answers:
            whole[rows] = logits
        return whole

    def encode(self, main: Tensor, rest: Mapping[str, Any] | None = None) -> Any:
        """In the session's grad mode; see `EncoderDecoder.encoded`."""
        with self._forward.mode():
            return self._owner.encoded(main, rest or {})

    def _encoded(self, count: int) -> list[tuple[Tensor, Any]]:
        """(rows, memory) for the rows of each prompt length; all rows where only features are read."""
        device = self._owner.facts.device
        if not self._read:
            (_, main), *rest = _placed(self._features, None, count, device).items()
            return [(torch.arange(count, device=device), self.encode(main, dict(rest)))]
        lengths: defaultdict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(self._read):
            lengths[len(ids)].append(row)
        groups = []
        for rows in lengths.values():
            members = torch.tensor(rows, device=device)
            ids = torch.stack([self._read[row] for row in rows])
            groups.append((members, self.encode(ids, _placed(self._features, members, count, device))))
        return groups


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


def _placed(
    inputs: Mapping[str, Any], rows: Tensor | None, count: int, device: torch.device
) -> dict[str, Any]:
    """Tensors on the model's device; of those with a row for each of `count`, `rows` (R',) int64 alone."""
    placed = {name: v.to(device) if isinstance(v, Tensor) else v for name, v in inputs.items()}
    return placed if rows is None else {name: _selected(v, rows, count) for name, v in placed.items()}


def _selected(value: Any, rows: Tensor, count: int) -> Any:
    along = isinstance(value, Tensor) and value.ndim > 0 and len(value) == count
    return value[rows.to(value.device)] if along else value


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
