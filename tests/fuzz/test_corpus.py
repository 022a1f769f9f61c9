"""Every parser of outside bytes on its corpus, and on random changes of it: nothing leaves but what may.

`python -m tests.fuzz` searches for longer, guided by coverage; what it found lies in the corpus.
"""

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from tests.fuzz.parsers import CORPUS, PARSERS

CASES = [(name, path) for name, parser in PARSERS.items() for path in sorted(parser.corpus.iterdir())]


def test_every_parser_has_a_corpus_and_no_other_is_there():
    assert sorted(PARSERS) == sorted(path.name for path in CORPUS.iterdir())
    assert all(len(parser.seeds()) >= 3 for parser in PARSERS.values())


@pytest.mark.parametrize(("name", "path"), CASES, ids=[f"{name}-{path.name}" for name, path in CASES])
def test_what_was_found_before(name, path):
    PARSERS[name].run(path.read_bytes())


@st.composite
def changed(draw, name):
    """A seed with pieces cut, doubled, replaced, or taken from another seed."""
    seeds = PARSERS[name].seeds()
    data = bytearray(draw(st.sampled_from(seeds))[:4_000])
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 12)))
        other = draw(st.sampled_from(seeds))
        cut = draw(st.integers(0, len(other)))
        data[begin:end] = draw(
            st.sampled_from(
                [
                    b"",
                    bytes(data[begin:end]) * 2,
                    other[cut : cut + 20],
                    b"\x00",
                    b"\xff",
                    b'"',
                    b"[",
                    b"{",
                    b"9" * 30,
                    b"-",
                    b"\\ud800",
                ]
            )
            | st.binary(max_size=6)
        )
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_random_changes_of_it(name):
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
    @given(changed(name))
    def holds(data):
        target(float(len(data)))
        PARSERS[name].run(data)

    holds()
