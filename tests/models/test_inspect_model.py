"""The public face of detection."""

from __future__ import annotations

import pytest
import zoo

from decodery import inspect_model
from decodery.contracts.errors import UnknownName
from decodery.host.registry import Host


@pytest.fixture
def host() -> Host:
    return Host(selection="")


def test_a_model_is_inspected_with_the_adapters_in_the_box(host: Host) -> None:
    report = inspect_model(zoo.Demo(), host=host)
    assert report.adapter == "input_pos"
    assert [name for name, _ in report.rejected] == ["hf", "hf_encoder_decoder", "encoder_decoder"]
    assert inspect_model(zoo.NanoGPT(), host=host).adapter == "stateless"


def test_what_the_user_tells_wins(host: Host) -> None:
    report = inspect_model(
        zoo.NanoGPT(), adapter="stateless", vocab_size=11, max_length=7, device="cpu", host=host
    )
    assert (report.facts.vocab_size, report.facts.max_length) == (11, 7)
    report = inspect_model(zoo.Demo(), adapter={"name": "decodery/input_pos", "max_length": 8}, host=host)
    assert (report.adapter, report.facts.max_length) == ("input_pos", 8)


def test_an_adapter_that_nobody_has_is_named(host: Host) -> None:
    with pytest.raises(UnknownName, match="unknown adapter 'statless'"):
        inspect_model(zoo.NanoGPT(), adapter="statless", host=host)
