"""Words that projects use for state that goes in and comes out."""

from __future__ import annotations

import re

from ...contracts.protocols import Options
from ..calling import Call

STATE = (
    "past_key_values", "past_key_value_states", "past_key_value", "past_kv", "past_kvs", "past", "pasts",
    "layer_past", "kv_caches", "kv_cache", "caches", "cache", "prev_hiddens", "prev_hidden", "prev_state",
    "prev_states", "states", "state", "hiddens", "hidden", "hidden_state", "hidden_states", "hx", "h", "h0", "mems",
    "memory", "memories", "recurrent_state", "recurrent_states", "rnn_state", "incremental_state",
    "inference_params", "carry", "init_state", "initial_state",
)  # fmt: skip
"""Arguments that take what an earlier call gave."""

FLAG = re.compile(r"(use|return|output|with)_\w*(cache|state|hidden|past|intermediate|mem|kv)\w*|incremental")
INIT = (
    "init_hidden", "init_hidden_state", "init_hidden_states", "init_state", "init_states", "initial_state",
    "init_hiddens", "get_initial_state", "zero_state", "begin_state", "init_cache", "init_caches", "make_cache",
    "new_cache", "create_cache", "empty_cache", "allocate_inference_cache",
)  # fmt: skip
"""Methods that make a first state."""


def state_argument(call: Call, options: Options) -> str:
    """The argument that takes a state: the user's word, else the first known one; "" if there is none."""
    told = options.get("state_in")
    if isinstance(told, str):
        return told
    return next((name for name in STATE if name in call.accepts and name != call.tokens), "")


def flags_of(call: Call) -> list[str]:
    """Switches that make a model take or give state, those first that speak of a cache."""
    found = [name for name in sorted(call.accepts) if FLAG.fullmatch(name)]
    return sorted(found, key=lambda name: ("hidden" in name, "attent" in name, name))
