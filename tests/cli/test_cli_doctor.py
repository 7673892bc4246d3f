"""`decodery doctor`: what it tells of a sound model, of one with a lying cache, and of one that cannot be driven."""

from __future__ import annotations

import json
import re


def test_a_model_is_looked_at_and_the_answer_goes_to_stdout(run):
    outcome = run("doctor", "-m", "demo")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "DemoModel: adapter 'input_pos'"
    said = {line[2:14].strip(): line[14:] for line in lines[1:]}
    same = r"its cache: over 10 tokens the answers are those without it, to \d\.\de-0\d in log-probability"
    assert re.fullmatch(same, said["verified"])
    assert said["which is"] == "model(x, input_pos) with a cache of its own"
    assert said["vocabulary"] == "4096 tokens; eos 0, bos 0, pad unknown"
    assert said["context"] == "1024 tokens"
    assert said["runs on"] == "cpu, float32"
    assert said["can"] == (
        "fork and reorder rows, keep its cache in one place (static), "
        "take tokens back by a counter, as many in every row"
    )
    assert re.fullmatch(r"[\d,.]+ tokens/s with its cache, [\d,.]+ without, over \d+ tokens", said["speed"])


def test_json_has_the_same_as_data(run):
    data = json.loads(run("doctor", "-m", "tiny_models:load", "--json", "--max-length", 9).out)
    assert (data["model"], data["adapter"], data["difference"]) == ("Successor", "stateless", None)
    assert (data["max_length"], data["device"], data["dtype"]) == (9, "cpu", "float32")
    assert data["tokens_per_second"]["cached"] > 0
    assert data["tokens_per_second"]["whole"] is None, "there is no cache to do without"
    assert data["rejected"][0] == {"adapter": "hf", "reason": "not its kind of model"}


def test_another_adapter_can_be_looked_at(run):
    out = run("doctor", "-m", "demo", "--adapter", "stateless").out
    assert "adapter 'stateless'" in out
    assert "nothing: no cache is used" in out


def test_what_is_told_wins_and_is_checked(run):
    assert "  vocabulary  20 tokens; eos" in run("doctor", "-m", "tiny_models:load", "--vocab-size", 20).out
    outcome = run("doctor", "-m", "tiny_models:load", "--vocab-size", 5000)
    assert (outcome.code, outcome.out) == (1, "")
    assert "vocab_size is 5000" in outcome.err


def test_a_context_that_nobody_speaks_of_is_met_before_a_user_meets_it(run):
    outcome = run("doctor", "-m", "tiny_models:raising")
    assert outcome.code == 0
    assert (
        "warning     it failed while its speed was measured: Raising(x) failed on ids of shape (1, 9)"
        in outcome.out
    )
    assert "better with Decoder(model, max_length=...)" in outcome.out
    assert "warning" not in run("doctor", "-m", "tiny_models:raising", "--max-length", 8).out


def test_a_model_that_cannot_be_driven_is_an_error_without_a_traceback(run):
    outcome = run("doctor", "-m", "tiny_models:load", "--adapter", "input_pos")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: Successor(x) does not take ids and input_pos or start_pos alone")
    assert "= help:" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_model_is_compulsory_and_has_to_exist(run):
    assert run("doctor").code == 2
    assert run("doctor", "-m", "no_such_module:load").code == 1
    assert run("doctor", "-m", "demo", "--adapter", "statless").code == 1
