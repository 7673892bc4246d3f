"""The adapters in the box as records, the way its plugin declares them."""

from __future__ import annotations

from decodery.builtin.plugin import provide_adapters
from decodery.contracts.protocols import DecodableModel
from decodery.contracts.specs import AdapterSpec
from decodery.models.detect import connect
from decodery.models.report import Report

ADAPTERS: list[AdapterSpec] = sorted(provide_adapters(), key=lambda spec: -spec.priority)
STATELESS = next(spec for spec in ADAPTERS if spec.name == "stateless")


def connected(model: object, adapter: object = "auto", **options: object) -> tuple[DecodableModel, Report]:
    return connect(model, ADAPTERS, adapter, options)
