"""Which adapter drives a model: evidence, then a trial, and a report of both. Nothing is guessed silently."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..contracts.errors import DecoderyError, ModelError, UnknownName
from ..contracts.protocols import DecodableModel, ModelFacts, Options
from ..contracts.specs import AdapterSpec, resolve
from .calling import module_of, name_of
from .keeping.module import left_as_found
from .options import check_model, check_numbers
from .outputs import REMEDY
from .probing.probes import observe

Choice = str | Mapping[str, Any]
"""An adapter's name, "auto", or {"name": ..., **options}."""


@dataclass(frozen=True, slots=True)
class Report:
    """What detection found. `str()` is meant to be read.

    model     the model's class or the function's name
    adapter   who drives it, and `evidence` for that, in words
    rejected  (adapter, why not) in the order tried
    warnings  what a user should know before trusting the text
    """

    model: str
    adapter: str
    evidence: str
    facts: ModelFacts
    rejected: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        facts, can = self.facts, self.facts.capabilities
        abilities = [name for name in ("masks", "select", "static") if getattr(can, name)]
        told = "".join(self.warnings)
        lines = [
            f"{self.model}: adapter '{self.adapter}'",
            f"  because     {self.evidence}",
            # What a warning tells already is not told twice.
            *(f"  not         {name}: {reason}" for name, reason in self.rejected if reason not in told),
            f"  vocabulary  {_said(facts.vocab_size)}, eos {_listed(facts.eos)}, bos {_said(facts.bos)}, "
            f"pad {_said(facts.pad)}",
            f"  context     {_said(facts.max_length)}",
            f"  runs on     {facts.device}, {str(facts.dtype).removeprefix('torch.')}",
            f"  can         {', '.join([*abilities, f'rewind: {can.rewind}'])}",
            *(f"  warning     {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)


def connect(
    model: object, adapters: Sequence[AdapterSpec], adapter: Choice = "auto", options: Options | None = None
) -> tuple[DecodableModel, Report]:
    """The model, ready to open sessions, and how it was connected.

    With "auto" the adapters are tried in the given order: probe, then factory, then three short sessions that
    show what shapes cannot (adapters whose models set `trusted` are spared those). What fails is noted, and
    the next one tried. An adapter that is named is taken without a probe, and its errors are the user's.

    The module is left as it was found. Raises `ModelError` when nothing drives the model, `UnknownName` for a
    name that no adapter has, `InvalidInput` for an option that cannot be.
    """
    name, options = _read(adapter, options or {})
    check_numbers(options)
    with left_as_found(module_of(model)):
        check_model(model)
        if name == "auto":
            return _first_that_works(model, adapters, options)
        spec = _named(name, adapters)
        decodable = resolve(spec.factory, f"adapter {spec.name!r}")(model, options)
        told = tuple(getattr(decodable, "warnings", ()))
        return decodable, Report(
            name_of(model), spec.name, "it was asked for", decodable.facts, warnings=told
        )


def inspect(
    model: object, adapters: Sequence[AdapterSpec], adapter: Choice = "auto", options: Options | None = None
) -> Report:
    """`connect`'s report alone."""
    return connect(model, adapters, adapter, options)[1]


def _first_that_works(
    model: object, adapters: Sequence[AdapterSpec], options: Options
) -> tuple[DecodableModel, Report]:
    name = name_of(model)
    rejected: list[tuple[str, str]] = []
    warnings: list[str] = []
    remedy = ""
    for spec in adapters:
        evidence = None
        try:
            with left_as_found(module_of(model)):
                evidence = resolve(spec.probe, f"adapter {spec.name!r}")(model, options)
                if evidence is None:
                    rejected.append((spec.name, "not its kind of model"))
                    continue
                decodable = resolve(spec.factory, f"adapter {spec.name!r}")(model, options)
                seen = list(getattr(decodable, "warnings", ()))
                if not getattr(decodable, "trusted", False):
                    seen += observe(decodable, name)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            # Also what a plugin's adapter raises by mistake: the others are still tried.
            reason = error.message if isinstance(error, DecoderyError) else f"{type(error).__name__}: {error}"
            remedy = getattr(error, "remedy", "")
            rejected.append((spec.name, reason))
            if evidence is not None:
                warnings.append(f"adapter {spec.name!r} was tried and given up: {reason}")
            continue
        report = Report(name, spec.name, evidence, decodable.facts, tuple(rejected), (*warnings, *seen))
        return decodable, report
    reasons = "".join(f"\n  {adapter}: {reason}" for adapter, reason in rejected)
    raise ModelError(f"no adapter can drive {name}{reasons or ': there are none'}", remedy=remedy or REMEDY)


def _read(adapter: Choice, options: Options) -> tuple[str, Options]:
    if isinstance(adapter, str):
        return adapter, options
    own = dict(adapter)
    return str(own.pop("name", "auto")), {**options, **own}


def _named(name: str, adapters: Sequence[AdapterSpec]) -> AdapterSpec:
    for spec in adapters:
        if spec.name == name:
            return spec
    known = [spec.name for spec in adapters]
    close = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}, or 'auto'"
    raise UnknownName(f"unknown adapter {name!r}", remedy=remedy)


def _said(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values)) or "unknown"
