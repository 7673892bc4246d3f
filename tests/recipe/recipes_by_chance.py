"""Recipes by chance: every built-in shape of parameter, and a plugin's stranger ones."""

from __future__ import annotations

from hypothesis import strategies as st

from decodery.contracts.steps import Step, StrategyUse, fill
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.recipe.recipe import Recipe

HOST = Host("acme", plugins=[PluginInfo("acme", "1.0", "acme_for_recipes")])

probabilities = st.floats(0, 1)
positives = st.floats(1e-300, 1e300)
counts = st.integers(1, 10**6)
ids = st.lists(st.integers(0, 10**9), min_size=1, max_size=4)
# Any text that UTF-8 can hold: words that YAML reads otherwise, quotes, breaks, controls, emoji.
texts = st.sampled_from(
    [
        "yes",
        "012",
        "null",
        "~",
        "",
        " a ",
        "#x",
        "- a",
        "a: b",
        "'",
        '"',
        "\n",
        "\\",
        "1e5",
        "\x1b[0m",
        "\u202e",
        "\ufeff",
        "\U0001f600",
        "\x85\u2028",
        "a b",
        "a  b",
        "{",
        "[x",
        "<<",
        "=",
        "|",
        "%",
        "@",
        "`",
        "\t",
        "\x00",
        ".inf",
        "0x1F",
        "---",
    ]
) | st.text(max_size=12)
STEPS = {
    "temperature": st.fixed_dictionaries({"temperature": positives}),
    "top_k": st.fixed_dictionaries(
        {"k": counts}, optional={"min_keep": counts, "ties": st.sampled_from(["keep", "cut"])}
    ),
    "top_p": st.fixed_dictionaries({"p": probabilities}, optional={"min_keep": counts}),
    "repetition_penalty": st.fixed_dictionaries(
        {"penalty": positives},
        optional={"window": st.none() | counts, "scope": st.sampled_from(["all", "prompt", "output"])},
    ),
    "bad_words": st.fixed_dictionaries({"ids": st.lists(ids, min_size=1, max_size=3)}),
    "sequence_bias": st.fixed_dictionaries(
        {"pairs": st.lists(st.tuples(ids, st.floats(-1e9, 1e9)), min_size=1, max_size=3)}
    ),
    "acme/narrow": st.fixed_dictionaries(
        {"width": st.integers(-(2**63), 2**63)},
        optional={
            "kind": st.none() | st.integers(-9, 9) | texts,
            "label": texts,
            "table": st.dictionaries(texts.filter(bool), st.floats(-1e9, 1e9), max_size=3),
        },
    ),
    "acme/nullable": st.fixed_dictionaries({}, optional={"limit": st.none() | counts}),
    "acme/tabled": st.fixed_dictionaries(
        {}, optional={"table": st.dictionaries(texts.filter(bool), counts, max_size=2)}
    ),
    "acme/everything": st.fixed_dictionaries(
        {},
        optional={
            "maybe": st.none() | st.integers(),
            "flag": st.booleans(),
            "text": texts,
            "number": st.floats(allow_nan=False, allow_infinity=False),
            "word": st.sampled_from(["a", "yes", "012"]),
            "texts": st.lists(texts, max_size=3),
            "pairs": st.lists(
                st.tuples(st.lists(st.integers(-9, 9), max_size=2), st.floats(-1, 1)), max_size=2
            ),
            "table": st.dictionaries(texts.filter(bool), st.none() | texts, max_size=3),
        },
    ),
}
STOPS = {
    "eos": st.just({}),
    "max_new_tokens": st.fixed_dictionaries({"max_new_tokens": counts}),
    "stop_strings": st.fixed_dictionaries({"strings": st.lists(texts.filter(bool), min_size=1, max_size=3)}),
    "stop_token_ids": st.fixed_dictionaries({"ids": ids}),
    "acme/bare": st.just({}),
}
STRATEGIES = {"greedy": st.just({}), "sample": st.just({}), "acme/wide": STEPS["acme/narrow"]}


def steps(table: dict[str, st.SearchStrategy[dict[str, object]]]) -> st.SearchStrategy[Step]:
    def made(name: str) -> st.SearchStrategy[Step]:
        qualified, spec = HOST.step(name)
        return table[name].map(lambda values: Step(spec, fill(spec, values), qualified))

    return st.sampled_from(sorted(table)).flatmap(made)


def strategies() -> st.SearchStrategy[StrategyUse]:
    def made(name: str) -> st.SearchStrategy[StrategyUse]:
        qualified, spec = HOST.strategy(name)
        return st.builds(
            lambda values, seed: StrategyUse(spec, fill(spec, values), qualified, seed),
            STRATEGIES[name],
            st.none() | st.integers(0, 2**64 - 1),
        )

    return st.sampled_from(sorted(STRATEGIES)).flatmap(made)


recipes = st.builds(
    Recipe,
    strategies(),
    st.lists(steps(STEPS), max_size=5).map(tuple),
    st.lists(steps(STOPS), min_size=1, max_size=3).map(tuple),
    texts,
    texts,
    st.sampled_from([None, "hf"]),
    st.sampled_from(["error", "stop_row"]),
    st.booleans(),
    st.sampled_from([(), ("pluggy>=1",), ("pluggy<9,>=1", "pydantic")]),
)

GREEDY = Recipe.loads("recipe: 1", host=HOST).strategy
