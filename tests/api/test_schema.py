"""The OpenAPI document and the API agree: whatever is sent, no answer is a 5xx or unlike the document."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.parts import full, library

pytestmark = full


@pytest.fixture(scope="module")
def report(house, tmp_path_factory):
    """Schemathesis as its users run it, against the real API; the stream never ends, so it is left out."""
    library("schemathesis")
    found = tmp_path_factory.mktemp("schema")
    begun = house.ask("POST", "/v1/session", {"token": house.token()}, token=None)
    cookie = begun.headers["set-cookie"].split(";")[
        0
    ]  # a session is not slowed down by wrong tokens that are tried beside it
    config = found / "schemathesis.toml"
    config.write_text("", encoding="utf-8")
    return [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"http://127.0.0.1:{house.port}/openapi.json",
        "--header", f"Cookie: {cookie}", "--header", "X-Trader: 1", "--exclude-path", "/v1/events", "--exclude-path", "/v1/jobs", "--exclude-path", "/v1/session",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--generation-database", "none", "--seed", "7", "--request-timeout", "20",
    ]  # fmt: skip


def run(command, *more):
    place = Path(command[4]).parent  # it leaves what it found where it runs
    done = subprocess.run([*command, *more], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"(\d\d+) generated, \1 passed", done.stdout), done.stdout[-3000:]


def test_whatever_is_sent_is_answered_as_the_document_says(report):
    run(report, "--max-examples", "8", "--phases", "examples,coverage,fuzzing")


@pytest.mark.timeout(900)
def test_much_is_sent(report):
    run(report, "--max-examples", "60", "--phases", "examples,coverage,fuzzing,stateful")
