"""The layout of a run: paper unless said twice, limits that let the strategy through, errors with line and remedy."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from strategies import TopRated
from trader.cli import app
from trader.configurations import read
from trader.core.risk import Limits, never_fits
from trader.core.strategy import Quote, Units
from trader.intake import secrets_of
from trader.ratings import fed, feeding_of
from trader.run_settings import load_run
from trader.settings import SettingsError

EXAMPLE = Path(__file__).parents[1] / "config" / "paper.yaml"


def changed(tmp_path, old, new):
    text = EXAMPLE.read_text()
    assert old in text
    path = tmp_path / "run.yaml"
    path.write_text(text.replace(old, new))
    return path


def problem(path):
    with pytest.raises(SettingsError) as caught:
        load_run(path)
    return str(caught.value)


def test_the_example_is_paper_and_fits_its_limits():
    settings, strategy = load_run(EXAMPLE)
    assert not settings.live
    assert settings.venue == "paper"
    assert isinstance(strategy, TopRated)
    answer = CliRunner().invoke(app, ["check", str(EXAMPLE)])
    assert answer.exit_code == 0
    assert "TopRated on paper (paper), 5 assets" in answer.stdout


def test_a_size_that_its_limit_always_cuts_is_an_error_naming_both(tmp_path):
    said = problem(changed(tmp_path, "weight_per_asset: 30%", "weight_per_asset: 20%"))
    assert "0.245" in said
    assert "weight_per_asset = 0.2" in said
    assert "run.yaml:" in said
    said = problem(changed(tmp_path, "order_notional: 5000", "order_notional: 2000"))
    assert "2,450" in said
    assert "order_notional = 2,000" in said


@pytest.mark.parametrize(
    ("size", "limits", "says"),
    [
        (0.5, Limits(weight_per_asset=0.4), "0.5 of the equity is over weight_per_asset = 0.4"),
        (0.5, Limits(gross_exposure=0.4), "gross_exposure = 0.4"),
        (
            Quote(6_000.0),
            Limits(order_notional=5_000.0),
            "6,000 (of a capital of 10,000) is over order_notional = 5,000",
        ),
        (Quote(float("inf")), Limits(weight_per_asset=0.9), "1 of the equity is over weight_per_asset = 0.9"),
        (0.4, Limits(weight_per_asset=0.4, gross_exposure=1.0, order_notional=4_000.0), None),
        (Units(5), Limits(weight_per_asset=0.1), None),
        (0.9, Limits(open_orders=1), None),
    ],
)
def test_what_never_fits(size, limits, says):
    found = never_fits(size, limits, 10_000.0)
    assert (found is None) if says is None else (says in found)


def test_a_run_without_limits_is_an_error(tmp_path):
    text = EXAMPLE.read_text()
    path = tmp_path / "run.yaml"
    path.write_text(text[: text.index("limits:")] + "limits: {}\n")
    assert "none is given" in problem(path)


def test_paper_cannot_be_live_and_unknown_keys_are_named(tmp_path):
    assert "paper has no money" in problem(changed(tmp_path, "venue: paper", "live: true\nvenue: paper"))
    assert "did you mean capital" in problem(changed(tmp_path, "capital: 10000", "captial: 10000"))
    answer = CliRunner().invoke(app, ["check", str(changed(tmp_path, "top: 4", "tpo: 4"))])
    assert answer.exit_code != 0


def test_a_share_of_the_volume_does_not_go_with_market_orders(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text((EXAMPLE.parent / "thin-book.yaml").read_text().replace("collar: 1%", "market_buys: true"))
    said = problem(path)
    assert "run.yaml:28:3" in said
    assert "participation = 0.1 with market_buys = true" in said
    assert load_run(EXAMPLE.parent / "thin-book.yaml")[0].execution.participation == 0.1


def test_every_secret_of_a_run_is_known_so_that_none_is_written(tmp_path):
    for name in ("api", "sig", "mq", "venue"):
        (tmp_path / name).write_text(f"canary-{name}\n")
    (tmp_path / "vendor.yaml").write_text("version: 1\nkey_file: api\nassets: {BTC/USDT: 3375}\n")
    intake = "intake: {ratings: vendor.yaml, keys: {k1: sig}, mqtt: {password_file: mq}}\n"
    account = "account: {key: canary-key, secret_file: venue}\njournal: postgresql://bot:canary%40pg@db/trader\n"
    path = tmp_path / "run.yaml"
    path.write_text(EXAMPLE.read_text() + intake + account)
    found = secrets_of(load_run(path)[0], tmp_path)
    assert sorted(found) == [f"canary{one}" for one in ("%40pg", "-api", "-key", "-mq", "-sig", "-venue", "@pg")]


def test_a_day_that_is_not_over_is_acted_on_only_where_that_is_asked_for(tmp_path):
    path = tmp_path / "vendor.yaml"
    path.write_text("version: 1\nkey: k\nassets: {BTC/USDT: 3375}\n")
    assert not feeding_of(fed(path)).provisional
    path.write_text(path.read_text() + "provisional: true\n")
    assert feeding_of(fed(path)).provisional


VENDOR = "version: 1\napi: v2\nstore: ratings.db\nassets: {BTC/USDT: 3375}\nendpoints: [tm_grade_history]\n"


def asking(tmp_path):
    """A run that asks a vendor, each in a file."""
    (tmp_path / "vendor.yaml").write_text(VENDOR)
    path = tmp_path / "run.yaml"
    path.write_text(EXAMPLE.read_text() + "\nintake: {ratings: vendor.yaml}\n")
    return path


def test_a_run_and_the_vendor_that_it_asks_have_one_environment(tmp_path, monkeypatch):
    path = asking(tmp_path)
    for name, text in (
        ("TRADER_ACCOUNT__KEY", "mine"), ("TRADER_NOTIFY__LIMIT", "5"), ("TRADER_API__PORT", "9000"), ("TRADER_ASSETS", "[BTC/USDT]"),
        ("TRADER_KEY", "the-vendors"), ("TRADER_CREDITS", "500000"),
    ):  # fmt: skip
        monkeypatch.setenv(name, text)
    settings, _ = load_run(path)
    assert (settings.account.key.get_secret_value(), settings.notify.limit, settings.api.port) == ("mine", 5, 9000)
    assert settings.assets == ("BTC/USDT",)
    vendor = fed(tmp_path / "vendor.yaml")
    assert (vendor.key.get_secret_value(), vendor.credits, list(vendor.assets)) == (
        "the-vendors",
        500_000,
        ["BTC/USDT"],
    )
    assert read(path)[0] == settings
    assert read(tmp_path / "vendor.yaml")[0] == vendor


@pytest.mark.parametrize("name", ["TRADER_KYE", "TRADER_ACCOUNT__KYE", "TRADER_CREDTIS"])
def test_a_variable_of_neither_is_refused(tmp_path, monkeypatch, name):
    path = asking(tmp_path)
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"{name} is unknown"):
        load_run(path)


def test_a_run_that_asks_no_vendor_knows_none_of_its_variables(monkeypatch):
    monkeypatch.setenv("TRADER_KEY", "meant-for-the-account")
    with pytest.raises(SettingsError, match="TRADER_KEY is unknown"):
        load_run(EXAMPLE)
