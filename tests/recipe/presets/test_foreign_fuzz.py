"""Foreign files with bytes changed by chance: a recipe or a `DecoderyError` comes out, and nothing else happens."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from samplers_for_presets import ALONE, TOGETHER
from specimens import SPECIMENS
from watched import patience, watched

from decodery.contracts.errors import DecoderyError
from decodery.recipe import foreign
from decodery.recipe.presets.common.carried import lines
from decodery.recipe.recipe import Recipe

FORMS = sorted(foreign.formats())
WRITERS = [name for name, form in foreign.formats().items() if form.write is not None]
SEEDS = [(case.form, case.text.encode()) for case in SPECIMENS.values()]
PIECES = [
    b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\\u0000", b"\\ud800", b",", b":", b"null", b"true",
    b"false", b"NaN", b"Infinity", b"1e400", b"-1", b"0", b"0.5", b"9" * 70, b"[" * 2000, b'{"a":' * 200,
    b"\x00", b"\xff", b"\xe2\x80\xae", b"\xf0\x9f\x98\x80", b"\n", b"\t", b" ", b"#", b"--", b"-", b"$(id)",
    b"`id`", b"|", b";", b"&a ", b"*a", b"!!python/x ", b"<<: ", b"---\n", b"../../etc/passwd", b"--file",
    b"/dev/zero", b"temperature", b"top_p", b"logit_bias", b"stop", b"(1, 2)", b"%s%n", b"__import__('os')",
    b"-l 5", b"--samplers", b"extra_body", b"watermarking_config", b"num_beams",
]  # fmt: skip


def mutated(rng: random.Random) -> tuple[str, bytes]:
    """(format, text): a specimen changed in a place or a few, now and then read as another's format."""
    form, text = rng.choice(SEEDS)
    data = bytearray(text)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + rng.randint(1, 12)] = b""
            case 2:
                data[at:at] = rng.choice(PIECES)
            case 3:
                data[at : at + rng.randint(1, 6)] = rng.choice(PIECES)
            case 4:
                other = rng.choice(SEEDS)[1]
                cut = rng.randrange(len(other))
                data[at:at] = other[cut : cut + rng.randint(1, 40)]
            case _:
                data[at:at] = data[at : at + rng.randint(1, 30)] * rng.randint(1, 3)
    return (rng.choice(FORMS) if rng.random() < 0.05 else form), bytes(data)


def read_and_write(form: str, text: bytes, host: object) -> str:
    """What came of it, in a word."""
    try:
        found = foreign.loads(text, form, host=host)  # type: ignore[arg-type]
    except DecoderyError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.replace("\n", "").isprintable()
        assert len(said.encode()) <= 4096
        return "refused"
    assert Recipe.loads(found.recipe.to_yaml(), host=host) == found.recipe  # type: ignore[arg-type]
    assert all(line.isprintable() for line in lines(found.carried))
    for name in WRITERS:
        written = foreign.dumps(found.recipe, name)
        again = foreign.loads(written.text, name, host=host)  # type: ignore[arg-type]
        if name == form:
            assert again.recipe == found.recipe
    return "read"


def fuzz(count: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    # What is imported when it is first needed (an encoding, say) is imported now.
    for form, text in [*SEEDS, *((form, b"\xff\x1b$(") for form in FORMS)]:
        read_and_write(form, text, TOGETHER)
    "\x1b".encode("unicode_escape")
    outcomes: Counter[str] = Counter()
    with watched() as seen:
        for _ in range(count):
            form, text = mutated(rng)
            with patience((form, text)):
                try:
                    outcomes[read_and_write(form, text, rng.choice([ALONE, TOGETHER]))] += 1
                except Exception as error:
                    raise AssertionError(f"{type(error).__name__} from {form}: {text!r}") from error
            assert not seen, (form, text, seen)
    return outcomes


def test_only_decodery_errors_come_out_and_nothing_else_happens() -> None:
    outcomes = fuzz(1000, seed=1)
    assert min(outcomes["read"], outcomes["refused"]) > 200  # both ways out are exercised


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_forty_thousand_more(seed: int, record_property: pytest.RecordProperty) -> None:
    outcomes = fuzz(5000, seed=100 + seed)
    record_property("outcomes", dict(outcomes))
    assert min(outcomes["read"], outcomes["refused"]) > 1000


def test_the_watch_sees_what_must_not_happen() -> None:
    with watched() as seen:
        open(__file__).close()
        eval("1")
    assert any(event.startswith("open") for event in seen)
    assert any(event.startswith("exec") for event in seen)
