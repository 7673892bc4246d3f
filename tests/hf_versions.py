"""Which transformers is installed: some claims can only be compared with a later one."""

from __future__ import annotations

import pytest
import transformers
from packaging.version import Version

RELEASE = Version(transformers.__version__).release
FOUR = RELEASE < (5,)

not_with_4 = {
    name: pytest.mark.skipif(FOUR, reason=f"transformers {transformers.__version__} {reason}")
    for name, reason in {
        "pads": "penalises the pads before a row like its words",
        "zero": "takes the id 0 in no list of biases",
        "top_h": "has no TopHLogitsWarper",
        "infinite": "makes NaN of an end that is banned when it grows the end's score",
        "state": "keeps this model's state in a cache of its own class, so that the whole text is fed at each step",
        "windows": "takes each window for another: it compares tensors by identity",
        "tokenizer": "cannot read a tokenizer whose pieces are raw bytes",
    }.items()
}
"""What transformers 4.57 does in another way than 5.23. Our steps are 5.23's with either."""
