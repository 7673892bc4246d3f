"""The kit over everything in the package."""

from __future__ import annotations

from decodery.testing import parametrize_with_checks
from decodery_samplers import plugin

NEUTRAL = {
    "top_n_sigma": {"n": 0.0},
    "top_a": {"a": 0.0},
    "tail_free": {"z": 1.0},
    "p_step": {"r": 0.0},
    "xtc": {"probability": 0.0},
    "top_p_decay": {"p": 1.0},
    "dynamic_temperature": {"temperature": 1.0},
    "quadratic": {"factor": 0.0},
    "skew": {"skew": 0.0},
}

# The derived ones vary one parameter at a time around defaults at which many steps are idle.
SAMPLES = {
    "top_n_sigma": [{}, {"n": 0.3}, {"n": 1.2, "variant": "tgw"}, {"n": 0.5, "min_keep": 3}],
    "top_a": [{"a": 0.3}, {"a": 1.0, "power": 1.0}, {"a": 1.0, "power": 0.5, "min_keep": 4}],
    "tail_free": [{"z": 0.6}, {"z": 0.9, "variant": "kobold"}, {"z": 0.1, "min_keep": 3}],
    "p_step": [{"r": 0.4}, {"r": 1.0, "min_keep": 2}],
    "xtc": [
        {"probability": 0.5},
        {"probability": 1.0, "threshold": 0.05, "protect": ["b", 3], "protect_eos": True},
        {"probability": 0.7, "threshold": 0.02, "protect": ["c"], "variant": "protect_all", "min_keep": 2},
        {"probability": 0.5, "threshold": 0.05, "expected": True},
    ],
    "top_p_decay": [{"p": 0.9}, {"p": 0.9, "decay": 0.5, "p_min": 0.1, "reset": ["b", 2], "min_keep": 2}],
    "dynamic_temperature": [
        {"temperature": 0.7},
        {"temperature": 1.0, "range": 0.5},
        {"temperature": 0.5, "range": 2.0, "exponent": 2.0},
    ],
    "quadratic": [{"factor": 0.3}, {"factor": 0.2, "curve": 2.5}],
    "skew": [{"skew": 0.7}, {"skew": -0.7}],
}


@parametrize_with_checks(plugin.provide_steps(), samples=SAMPLES, neutral=NEUTRAL)
def test_samplers_conform(spec, check):
    check(spec)
