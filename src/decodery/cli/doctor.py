"""`decodery doctor`: how a model would be driven, the evidence for it, and what would make it better."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from ..host.registry import Host
from .console import Console
from .muting import plugins_muted

if TYPE_CHECKING:
    from ..models.report import Report


def doctor(
    *,
    model: str,
    adapter: str,
    device: str | None,
    vocab_size: int | None,
    max_length: int | None,
    as_json: bool,
) -> int:
    """The command with its options (`arguments.py` says what each means) -> the exit code. Raises `ModelError` for a
    model that nothing drives."""
    console = Console()
    # lazy: torch
    from ..engine.inspect import inspect_model  # noqa: PLC0415
    from .models import check_device, load_model  # noqa: PLC0415

    # What a model prints while it loads or runs is talk, too: stdout is for results.
    with plugins_muted(as_json), contextlib.redirect_stdout(sys.stderr):
        host = Host()
        check_device(device)
        with console.waiting(f"trying {model}"):
            loaded: Any = load_model(model, host)[0]
            if device is not None and hasattr(loaded, "to"):
                loaded = loaded.to(device)
            report = inspect_model(
                loaded,
                adapter=adapter,
                vocab_size=vocab_size,
                max_length=max_length,
                device=device,
                host=host,
            )
    console.line(json.dumps(as_data(report), indent=2) if as_json else str(report))
    return 0


def as_data(report: Report) -> dict[str, Any]:
    """A report as JSON-able data."""
    facts, can, speed = report.facts, report.facts.capabilities, report.speed
    return {
        "model": report.model,
        "adapter": report.adapter,
        "evidence": report.evidence,
        "rejected": [{"adapter": name, "reason": reason} for name, reason in report.rejected],
        "warnings": list(report.warnings),
        "difference": report.difference,
        "compared": report.compared,
        "vocab_size": facts.vocab_size,
        "eos": list(facts.eos),
        "bos": facts.bos,
        "pad": facts.pad,
        "max_length": facts.max_length,
        "device": str(facts.device),
        "dtype": str(facts.dtype).removeprefix("torch."),
        "masks": can.masks,
        "select": can.select,
        "rewind": can.rewind,
        "rewind_by": can.rewind_by,
        "static": can.static,
        "tokens_per_second": None if speed is None else {"cached": speed.cached, "whole": speed.whole},
        "advice": report.advice,
    }
