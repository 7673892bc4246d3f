"""The three adapters as records, as the plugin in the box declares them."""

from __future__ import annotations

from decodery.contracts.protocols import DecodableModel
from decodery.contracts.specs import AdapterSpec
from decodery.models.detect import Report, connect

HF = AdapterSpec("hf", "decodery.models.hf:probe", "decodery.models.hf:HfModel", 100)
INPUT_POS = AdapterSpec(
    "input_pos", "decodery.models.input_pos:probe", "decodery.models.input_pos:InputPosModel", 80
)
STATELESS = AdapterSpec(
    "stateless", "decodery.models.stateless:probe", "decodery.models.stateless:StatelessModel", 0
)
ADAPTERS = [HF, INPUT_POS, STATELESS]


def connected(model: object, adapter: object = "auto", **options: object) -> tuple[DecodableModel, Report]:
    return connect(model, ADAPTERS, adapter, options)
