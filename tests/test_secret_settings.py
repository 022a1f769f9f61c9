"""Secrets in the configuration: what is given is what is used, letter by letter, and no error shows it."""

import pytest

from tests.test_run_settings import EXAMPLE, changed
from trader.run_settings import load_run, secret_of
from trader.settings import SettingsError

LOOKS_OTHERWISE = [
    "0123",
    "1e5",
    "1_000",
    "0x1F",
    "true",
    "null",
    "~",
    "canary #1",
    "a: canary",
    "@canary",
    "*canary",
    "[canary",
    "%c",
]


@pytest.mark.parametrize("secret", LOOKS_OTHERWISE)
@pytest.mark.parametrize(("name", "of"), [
    ("ACCOUNT__KEY", lambda it: it.account.key), ("INTAKE__MQTT__PASSWORD", lambda it: it.intake.mqtt.password),
    ("NOTIFY__TARGETS__PHONE__URL", lambda it: it.notify.targets["phone"].url),
])  # fmt: skip
def test_a_secret_of_a_variable_is_taken_letter_by_letter(monkeypatch, secret, name, of):
    monkeypatch.setenv(f"TRADER_{name}", secret)
    settings, _ = load_run(EXAMPLE)
    assert of(settings).get_secret_value() == secret


def test_quotes_around_a_secret_of_a_variable_are_not_part_of_it_and_nothing_is_none(monkeypatch):
    monkeypatch.setenv("TRADER_ACCOUNT__KEY", "'01 #23'")
    monkeypatch.setenv("TRADER_ACCOUNT__SECRET", "")
    account = load_run(EXAMPLE)[0].account
    assert (account.key.get_secret_value(), account.secret) == ("01 #23", None)


@pytest.mark.parametrize(
    ("name", "text"), [("ACCOUNT__KEY", "'canary"), ("ACCOUNT", "{key: @canary}"), ("NOTIFY", "[canary")]
)
def test_a_variable_that_cannot_be_read_is_named_and_not_shown(monkeypatch, name, text):
    monkeypatch.setenv(f"TRADER_{name}", text)
    with pytest.raises(SettingsError, match=f"environment: TRADER_{name}") as caught:
        load_run(EXAMPLE)
    assert "canary" not in str(caught.value)


def test_a_secret_in_the_file_that_yaml_reads_as_a_number_is_refused_and_not_shown(tmp_path):
    with pytest.raises(SettingsError, match="account.key: allowed is a text") as caught:
        load_run(changed(tmp_path, "limits:", "account: {key: 0424242}\nlimits:"))
    assert "424242" not in str(caught.value)


@pytest.mark.parametrize(("body", "why"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfecanary", "is no text")])
def test_a_file_that_holds_no_secret_is_refused(tmp_path, body, why):
    """With an empty key everybody can sign."""
    (tmp_path / "key").write_bytes(body)
    with pytest.raises(SettingsError, match=why) as caught:
        secret_of(None, "key", tmp_path, "intake.keys.k1")
    assert "canary" not in str(caught.value)
