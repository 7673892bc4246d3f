"""The same for decodery-samplers."""

from __future__ import annotations

from step_examples import AFTER, LOOP, ONCE, TIRED, Example

PHRASE = " Well, well."
CHOICES = "Which is it?\nA. tea\nB. milk\nIt is"

SAMPLERS: dict[str, Example] = {
    "top_n_sigma": Example(
        {"n": 1.0},
        "What is more than a standard deviation below the best score goes.",
        dense={"variant": "tgw"},
    ),
    "top_a": Example({"a": 0.5}, "The bound is half the square of the best probability: 1.5 per cent here."),
    "tail_free": Example(
        {"z": 0.9}, "The tail goes from where the sorted probabilities have stopped bending."
    ),
    "p_less": Example({}, "What is less likely than that two draws agree goes."),
    "p_step": Example(
        {"r": 0.3},
        "The third token is less than 0.3 times as likely as the second: a step, and the cut.",
        prompt=ONCE,
    ),
    "xtc": Example(
        {"probability": 1.0, "threshold": 0.05},
        "The likeliest go; the least likely of those above the threshold stays.",
    ),
    "top_p_decay": Example(
        {"p": 0.9, "decay": 0.9, "reset": ["."]},
        "After six new tokens of a sentence p has come down from 0.9 to 0.48.",
        prompt="Alice sat down.",
        new=" She said that she was very",
    ),
    "dynamic_temperature": Example(
        {"temperature": 1.0, "range": 0.8, "exponent": 1.0},
        "The row is rather sure, so its temperature is low: 0.8.",
        prompt=ONCE,
    ),
    "quadratic": Example(
        {"factor": 0.3, "curve": 1.0},
        "The rivals of the best token come nearer, the tail goes further.",
        dense={"curve": 4.0},
    ),
    "skew": Example({"skew": 0.3}, "Probability moves from the best tokens down the order."),
    "presence_penalty": Example(
        {"penalty": 1.0, "scope": "all"}, "The words that occurred lose a unit of score, once.", prompt=TIRED
    ),
    "frequency_penalty": Example(
        {"penalty": 1.0, "scope": "all"},
        "The words that occurred lose a unit of score for each time: *glad* two.",
        prompt="He was glad, very glad, and she was very",
    ),
    "dry": Example(
        {"multiplier": 1.0},
        "*was* would go on with the repetition of *glad, and he*, and pays for its length.",
        prompt=LOOP,
    ),
    "forced_tokens": Example({"ids": [1448]}, "The trace begins with *glad*."),
    "logit_bias": Example(
        {"biases": [[2862, 4.0], [588, -2.0]]},
        "*tired* gains four units of score, *much* loses two.",
        dense={"biases": [[" tired", 4.0]]},
    ),
    "banned_tokens": Example(
        {"tokens": [588, 1958]}, "*much* and *sorry* are banned.", dense={"tokens": ["much", "sorry"]}
    ),
    "allowed_tokens": Example(
        {"tokens": ["sorry", "glad", "angry"]}, "Three words may come, spelt in one token."
    ),
    "thinking_budget": Example(
        {"budget": 4, "open": " said", "close": "."},
        "Four tokens were thought since *said*, and the closing text is due.",
        prompt="She",
        new=" said that she was very",
    ),
    "infill": Example(
        {}, "The end is likely for one of so many candidates, and is all that stays.", prompt=AFTER
    ),
    "mirostat": Example({"tau": 3.0}, "One token was drawn, of those with at most six bits of surprise."),
    "adaptive_p": Example(
        {"target": 0.05},
        "One token was drawn, by nearness to 5 per cent: the tail has many near tokens, so a cut belongs before.",
    ),
    "gen_length": Example(
        {"factor": 8.0},
        "The end gains with the square of the length.",
        prompt="They were married,",
        new=" and lived happily ever after.",
    ),
    "cite_prompt": Example(
        {"boost": 2.0}, "The words of the prompt gain, and so does the end.", prompt=TIRED
    ),
    "force_last_phrase": Example(
        {"phrase": PHRASE},
        "*much* stands for the end here: it would come, so the phrase begins in its place.",
        eos=588,
    ),
    "trigger_phrase": Example(
        {"phrase": PHRASE, "trigger": [" much"]}, "*much* would come, so the phrase begins in its place."
    ),
    "multiple_choice": Example(
        {"choices": ["A", "B"]}, "The labels may come, and nothing else.", prompt=CHOICES
    ),
    "max_time_eos": Example({"max_time": 0.0}, "The time is up, and the end is all that may come."),
    "prevent_hallucination": Example(
        {"min_p": 0.9, "tolerate": 1, "phrase": " I don't know."},
        "The best token was unlikely for the second time, so the phrase begins.",
        prompt="She said that she",
        new=" was",
    ),
}
