"""The keys at the top of a recipe, and what it means to say nothing."""

VERSION = 1
DEFAULTS = "strategy: greedy\nstop: [eos, max_new_tokens: 256]"
"""What a recipe that says nothing else means: greedy, until the model ends the text, or 256 tokens."""

SETTABLE = (
    "name",
    "description",
    "compat",
    "strategy",
    "processors",
    "stop",
    "on_bad_row",
    "include_stop",
)
"""What a patch or the command line may change."""
BUILDING = ("recipe", "extends", "requires", "patch")
"""What says how to read the file, and stands in a file alone."""
TOP_LEVEL = ("recipe", *SETTABLE[:2], *BUILDING[1:], *SETTABLE[2:])
