"""Which adapter drives a model: evidence, then a trial, and a report of both. Nothing is guessed silently."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..contracts.errors import DecoderyError, ModelError, UnknownName
from ..contracts.protocols import DecodableModel, Options
from ..contracts.specs import AdapterSpec, resolve
from .adapters.internal import NoCache
from .adapters.state import Unbegun
from .calling import module_of, name_of
from .keeping.module import left_as_found
from .options import UnknownOption, check_model, check_numbers
from .outputs import REMEDY
from .probing.probes import OneRow, TimeFirst, observe
from .report import Report

Choice = str | Mapping[str, Any]
"""An adapter's name, "auto", or {"name": ..., **options}."""


QUIET = (OneRow, UnknownOption, NoCache)
"""What another adapter takes care of is nothing to be warned of."""


def connect(
    model: object, adapters: Sequence[AdapterSpec], adapter: Choice = "auto", options: Options | None = None
) -> tuple[DecodableModel, Report]:
    """The model, ready to open sessions, and how it was connected.

    With "auto" the adapters are tried in the given order: probe, then factory, then three short sessions that
    show what shapes cannot (adapters whose models set `trusted` are spared those). What fails is noted, and
    the next one tried. An adapter that is named is taken at its word: its errors are the user's, and what the three
    sessions show is a warning (`verify: False` spares them, too).

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
        told = getattr(decodable, "evidence", "")
        spared = getattr(decodable, "trusted", False) or options.get("verify", True) is False
        return decodable, Report(
            model=name_of(model),
            adapter=spec.name,
            evidence="; ".join(filter(None, ["it was asked for", told])),
            facts=decodable.facts,
            difference=getattr(decodable, "difference", None),
            warnings=(
                *getattr(decodable, "warnings", ()),
                *([] if spared else _seen(decodable, name_of(model))),
            ),
            compared=getattr(decodable, "compared", 0),
            hint=getattr(decodable, "hint", ""),
            summary=spec.summary,
        )


def _seen(decodable: DecodableModel, name: str) -> list[str]:
    """What `observe` would stop at is a warning to somebody who chose the adapter."""
    try:
        return observe(decodable, name)
    except ModelError as error:
        return [f"{error.message} ({error.remedy})" if error.remedy else error.message]


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
    remedy = hint = ""
    for spec in adapters:
        evidence: str | None = None
        try:
            with left_as_found(module_of(model)):
                evidence = resolve(spec.probe, f"adapter {spec.name!r}")(model, options)
                if evidence is None:
                    rejected.append((spec.name, "not its kind of model"))
                    continue
                decodable, seen, turned = _tried(model, spec, options, name)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            # Also what a plugin's adapter raises by mistake: the others are still tried.
            reason = error.message if isinstance(error, DecoderyError) else f"{type(error).__name__}: {error}"
            remedy = getattr(error, "remedy", "") or remedy
            hint = hint or (remedy.removeprefix(Unbegun.SAY) if isinstance(error, Unbegun) else "")
            rejected.append((spec.name, reason))
            if evidence is not None and not isinstance(error, QUIET):
                advised = f" ({error.remedy})" if isinstance(error, DecoderyError) and error.remedy else ""
                warnings.append(f"adapter {spec.name!r} was tried and given up: {reason}{advised}")
            continue
        told = [evidence, *turned, *filter(None, [getattr(decodable, "evidence", "")])]
        report = Report(
            model=name,
            adapter=spec.name,
            evidence="; ".join(told),
            facts=decodable.facts,
            rejected=tuple(rejected),
            # A verified cache is in use: what else was tried is told, and worries nobody.
            warnings=(*(warnings if getattr(decodable, "difference", None) is None else ()), *seen),
            difference=getattr(decodable, "difference", None),
            compared=getattr(decodable, "compared", 0),
            hint=getattr(decodable, "hint", "") or hint,
            summary=spec.summary,
        )
        return decodable, report
    reasons = "".join(f"\n  {adapter}: {reason}" for adapter, reason in rejected)
    raise ModelError(f"no adapter can drive {name}{reasons or ': there are none'}", remedy=remedy or REMEDY)


def _tried(
    model: object, spec: AdapterSpec, options: Options, name: str
) -> tuple[DecodableModel, list[str], list[str]]:
    """The model by this adapter, warnings, and what was found beside; a time-first one is turned and tried again."""
    factory = resolve(spec.factory, f"adapter {spec.name!r}")
    decodable = factory(model, options)
    if getattr(decodable, "trusted", False):
        return decodable, list(getattr(decodable, "warnings", ())), []
    try:
        return decodable, observe(decodable, name), []
    except TimeFirst:
        if options.get("time_first"):
            raise
    decodable = factory(model, {**options, "time_first": True})
    seen = observe(decodable, name)
    return decodable, seen, ["time-first, as rows changed one another until both ends were turned"]


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
