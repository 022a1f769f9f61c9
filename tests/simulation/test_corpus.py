"""Stories that once failed, here or under a planted bug of tests/mutants whose number they carry, in a small form: they hold now."""

import pytest

from tests.simulation.hunt import corpus
from tests.simulation.run import told_apart

CORPUS = corpus()


@pytest.mark.parametrize("name", CORPUS)
def test_a_story_that_failed_once_holds(name):
    (story,) = told_apart([CORPUS[name]])
    assert not story["broken"], f"{story['broken']}\n{story['line']}"


def test_there_are_stories():
    assert len(CORPUS) > 20
