"""One house for all tests of a module: it takes seconds to begin."""

import pytest

from tests.api.parts import WholeHouse


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = WholeHouse(tmp_path_factory.mktemp("house")).prepare()
    try:
        yield made.start("venue", "bot", "api")
    finally:
        made.stop()
