"""Rules and dashboard speak of what a real daemon tells: each metric, each label, each value of a label that they name."""

import copy
import json
import operator
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as families
from ruamel.yaml import YAML

from tests.api.watched import watched
from tests.runtime.test_daemon import held, rating
from tests.services.parts import until
from trader.api.metrics import exposition

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboards/trader.json"
FUNCTIONS = {
    "sum",
    "rate",
    "increase",
    "absent",
    "time",
    "histogram_quantile",
    "by",
    "ignoring",
    "and",
    "or",
    "on",
    "le",
}
ELSEWHERE = {"node_textfile_mtime_seconds": {"file"}}  # node_exporter's own


def read(path):
    return YAML(typ="safe").load((ROOT / path).read_text())


COMPOSE = read("docker-compose.yml")
ALERTS = {rule["alert"]: rule for group in read(RULES)["groups"] for rule in group["rules"]}
PANELS = json.loads(DASHBOARD.read_text())["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]


@pytest.fixture(scope="module")
def status(tmp_path_factory):
    """The status of a real daemon that traded, asked while it ran."""
    import asyncio

    async def asked():
        async with watched(tmp_path_factory.mktemp("watched")) as (_, one, bus):
            await bus.publish(rating(1, BTC=50))
            await until(lambda: held(one) > 2 and one.desk.is_quiet)
            await until(lambda: one.status()["sources"]["tokenmetrics"]["state"] == "answers")
            await until(lambda: one.status()["streams"]["account"] and one.desk.state == "active")
            await until(lambda: sum(one.status()["measures"]["loop_lag"]["counts"]))
            return json.loads(json.dumps(one.status()))

    return asyncio.run(asked())


def samples(text):
    """Every sample by name, as its labels and its value."""
    found = {}
    for family in families(text):
        for one in family.samples:
            found.setdefault(one.name, []).append((one.labels, one.value))
    return found


SELECTOR = re.compile(r"\b([a-z][a-z0-9_]*_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def selectors(query):
    """Each metric that a query names, with its matchers."""
    bare = re.sub(r"\b(by|on|ignoring)\s*\([^)]*\)", "", query)
    for name, inside in SELECTOR.findall(bare):
        if name not in FUNCTIONS and not name.startswith("__"):
            yield name, MATCHER.findall(inside)


def faults(query, told):
    """What a query names that nobody tells."""
    for name, matchers in selectors(query):
        if name not in told and name not in ELSEWHERE:
            yield f"{name}: no such metric"
            continue
        labels = ELSEWHERE.get(name) or {label for given, _ in told[name] for label in given}
        for label, how, value in matchers:
            if label not in labels:
                yield f"{name}: no label {label}"
            elif how == "=" and name in told and value not in {given[label] for given, _ in told[name]}:
                yield f"{name}: {label} is never {value}"
    for group in re.findall(r"\b(?:by|ignoring)\s*\(([^)]*)\)", query):
        named = {label for name, _ in selectors(query) for given, _ in told.get(name, ()) for label in given}
        yield from (f"no label {label.strip()}" for label in group.split(",") if label.strip() not in named)
    words = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', "", query)
    for word in re.findall(r"\b([a-z_]+)\s*\(", words):
        if word not in FUNCTIONS:
            yield f"{word}: no function that we know"
    for opens, closes in ("()", "{}", "[]"):
        if query.count(opens) != query.count(closes):
            yield f"{opens}{closes} do not match"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_rule_names_what_a_daemon_tells(name, status):
    rule = ALERTS[name]
    assert list(faults(rule["expr"], samples(exposition(status)))) == []
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"\d+[sm]", rule.get("for", "1m"))


def test_the_dashboard_names_what_a_daemon_tells(status):
    told = samples(exposition(status))
    found = [fault for query in QUERIES for fault in faults(query.replace("$__rate_interval", "5m"), told)]
    assert len(QUERIES) > 30
    assert found == []


@pytest.mark.parametrize(
    "query",
    [
        "trader_upp == 0", 'trader_state{stat="active"} == 1', 'trader_state{state="asleep"} == 1', "sum by (asset) (trader_up)",
        "summ(trader_up)", "rate(trader_cpu_seconds_total[5m]", "trader_stage_seconds > 1",
    ],
)  # fmt: skip
def test_a_planted_mistake_is_seen(query, status):
    assert list(faults(query, samples(exposition(status))))


# Rules that compare one sample with a number, or with a share of another: told again here, to see them fire

COMPARED = re.compile(r"(\w+)(?:\{(.*?)\})? (==|>|<) ([\d.]+)(?: \* (\w+))?(?: or absent\(\w+\))?")
COMPARISONS = {"==": operator.eq, ">": operator.gt, "<": operator.lt}


def fires(query, told):
    """Whether a plain comparison holds for any sample; None for a query of another form."""
    found = COMPARED.fullmatch(query)
    if found is None:
        return None
    name, inside, how, number, other = found.groups()
    matchers = MATCHER.findall(inside or "")
    for labels, value in told.get(name, ()):
        if all((re.fullmatch(want, labels[label]) is None) == (sign == "!~") for label, sign, want in matchers):
            factor = (
                1.0 if other is None else next((one for given, one in told.get(other, ()) if given == labels), None)
            )
            if factor is not None and COMPARISONS[how](value, float(number) * factor):
                return True
    return False


def firing(text):
    told = samples(text)
    return {name for name, rule in ALERTS.items() if fires(rule["expr"], told)}


def test_no_rule_fires_for_a_healthy_daemon(status):
    assert sum(fires(rule["expr"], {}) is not None for rule in ALERTS.values()) >= 13
    assert firing(exposition(status)) == set()


def patch(status, path, value):
    found = copy.deepcopy(status)
    *steps, last = path.split("/")
    inner = found
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "alert"),
    [
        ("market_seconds_ago", 61, "TraderFeedStale"),
        ("reconciled_seconds_ago", 91, "TraderReconcileOld"),
        ("state", "recovering", "TraderRecovering"),
        ("state", "killed", "TraderStopped"),
        ("measures/unknown_seconds", 61, "TraderUnknownOrder"),
        ("orders", [{"order": 1, "state": "stuck"}], "TraderOrderStuck"),
        ("off", {"BTC": "-1"}, "TraderDiscrepancy"),
        ("mounts/m/drawdown", 0.41, "TraderDrawdownNear"),
        ("in_line", 501, "TraderQueueFilling"),
        ("links/market/is_up", False, "TraderLinkDown"),
        ("sources/tokenmetrics/state", "stopped", "TraderSourceStopped"),
        ("sources/tokenmetrics/credits/left", 4, "TraderCreditsLow"),
    ],
)
def test_a_rule_fires_for_what_it_is_there_for_and_no_other_does(path, value, alert, status):
    assert firing(exposition(patch(status, path, value))) == {alert}


def test_a_daemon_that_is_down_fires_one_rule():
    assert firing(exposition(None, mount="m")) == {"TraderDown"}


def test_promtool_takes_the_files_where_it_is_installed():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True)


# The files and the services

OBSERVE = {name: one for name, one in COMPOSE["services"].items() if one.get("profiles") == ["observe"]}


def test_the_services_are_locked_up_and_only_grafana_is_to_be_seen_on_this_machine():
    assert set(OBSERVE) == {"metrics", "node-exporter", "prometheus", "grafana"}
    for name, service in OBSERVE.items():
        assert service["cap_drop"] == ["ALL"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
    assert [name for name, one in OBSERVE.items() if "ports" in one] == ["grafana"]
    assert not set(OBSERVE["metrics"]) & {"secrets", "environment"}


def mounts(service):
    """Where in the container each place of the tree or volume is."""
    return dict(one.split(":")[:2] for one in OBSERVE[service]["volumes"])


def test_the_file_that_is_written_is_the_one_that_is_scraped():
    words = OBSERVE["metrics"]["command"]
    file = Path("/home/trader") / words[words.index("--watch-file") + 1]
    assert str(file.parent) == mounts("metrics")["metrics"]
    assert str(file.parent) in (ROOT / "Dockerfile").read_text()
    (folder,) = [word.partition("=")[2] for word in OBSERVE["node-exporter"]["command"] if "directory=" in word]
    assert folder == mounts("node-exporter")["metrics"]
    scraped = read("deploy/prometheus/prometheus.yml")
    targets = {
        target for job in scraped["scrape_configs"] for one in job["static_configs"] for target in one["targets"]
    }
    assert targets == {"node-exporter:9100", "localhost:9090"}
    assert scraped["rule_files"] == [f"{mounts('prometheus')['./deploy/prometheus']}/{RULES.name}"]
    assert re.search(ALERTS["TraderMetricsStale"]["expr"].partition('"')[2].partition('"')[0], f"/metrics/{file.name}")


def test_grafana_finds_its_source_and_its_dashboards():
    (source,) = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert re.fullmatch(r"http://(\w+):9090", source["url"])[1] in OBSERVE
    (provider,) = read("deploy/grafana/provisioning/dashboards/trader.yml")["providers"]
    assert provider["options"]["path"] == mounts("grafana")["./deploy/grafana/dashboards"]
    assert mounts("grafana")["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"


def test_the_panels_of_the_dashboard_lie_beside_each_other():
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_rule_has_its_line_in_the_documents():
    page = (ROOT / "docs/observability.md").read_text()
    assert [name for name in ALERTS if f"`{name}`" not in page] == []


def test_every_metric_has_its_line_in_the_documents(status):
    page = (ROOT / "docs/observability.md").read_text()
    told = [
        family.name + ("_total" if family.type == "counter" else "") for family in families(exposition(status))
    ]  # fmt: skip
    assert [name for name in told if f"`{name}`" not in page] == []
    known = {name.removesuffix("_total") for name in told}
    named = re.findall(r"`(trader_[a-z_]+)`", page)
    assert [name for name in named if name.removesuffix("_total") not in known] == []
