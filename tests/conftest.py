"""Which tests run, and that what one sets for its process does not meet the next."""

import os
import sys

import pytest


def pytest_collection_modifyitems(items):
    """Long proofs are asked for by name or by MATRIX=full."""
    if os.environ.get("MATRIX") != "full":
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="a long proof: set MATRIX=full, as CI does"))


@pytest.fixture(autouse=True)
def logs_as_they_were():
    """Logging is set up for a whole process: a test may have pointed it at a file that is closed by now."""
    yield
    if (structlog := sys.modules.get("structlog")) is not None and structlog.is_configured():
        structlog.reset_defaults()
