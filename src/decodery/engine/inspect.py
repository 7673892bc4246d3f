"""`inspect_model`: how decodery would drive a model, without decoding anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from ..contracts.errors import InvalidInput, ModelError
from ..contracts.protocols import DecodableModel
from ..contracts.specs import AdapterSpec
from ..host.registry import Host
from ..models.detect import Choice, connect
from ..models.report import Report
from ..models.speed import speed_of


def inspect_model(
    model: object,
    *,
    adapter: Choice = "auto",
    vocab_size: int | None = None,
    max_length: int | None = None,
    device: torch.device | str | None = None,
    measure: bool = True,
    host: Host | None = None,
) -> Report:
    """A report on `model`, made to be printed: the adapter that drives it and the evidence, what else was
    tried, cached steps against the whole text, vocabulary, context, device and dtype, what its sessions can do,
    tokens a second with and without the cache (unless `measure` is False), warnings, and what would be better.

    `adapter` is "auto", an adapter's name, or {"name": ..., **options}; `vocab_size`, `max_length` and
    `device` override what the model says of itself. A few calls on tiny random ids are made; the
    module is left as it was found. Raises `ModelError` when nothing drives the model, `UnknownName` for an
    adapter that nobody has, `InvalidInput` for an option that cannot be.
    """
    decodable, report = connect_model(
        model, adapter=adapter, vocab_size=vocab_size, max_length=max_length, device=device, host=host
    )
    if not measure:
        return report
    try:
        return replace(report, speed=speed_of(decodable))
    except ModelError as error:
        # A context that it does not speak of, most often.
        failed = f"it failed while its speed was measured: {error.message}"
        return replace(report, warnings=(*report.warnings, failed))


def connect_model(
    model: object,
    *,
    adapter: Choice = "auto",
    vocab_size: int | None = None,
    max_length: int | None = None,
    device: torch.device | str | None = None,
    compile: str | None = None,
    host: Host | None = None,
) -> tuple[DecodableModel, Report]:
    """The model ready to open sessions, and the report of `inspect_model`. Raises like it."""
    told = {"vocab_size": vocab_size, "max_length": max_length, "device": device, "compile": compile}
    specs, choice = _candidates(host or Host(), adapter)
    return connect(model, specs, choice, {name: value for name, value in told.items() if value is not None})


def _candidates(host: Host, adapter: Choice) -> tuple[list[AdapterSpec], Choice]:
    """The specs to try, and the choice by the name that the spec itself has ("acme/mine" -> "mine")."""
    if not isinstance(adapter, (str, Mapping)):
        raise InvalidInput(
            f"adapter = {adapter!r}", remedy="give 'auto', an adapter's name, or {'name': ..., **options}"
        )
    name = adapter if isinstance(adapter, str) else str(adapter.get("name", "auto"))
    if name == "auto":
        return host.adapters(), adapter
    spec = host.adapter(name)[1]
    return [spec], spec.name if isinstance(adapter, str) else {**adapter, "name": spec.name}
