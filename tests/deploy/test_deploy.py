"""What is deployed holds together: the broker's files at a real broker, the compose file as far as it goes without an engine."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.services.parts import free_port, program, until, wait_for
from trader.adapters.mqtt import Broker, MqttDownError, MqttSource, publish
from trader.adapters.one_time import OneTime
from trader.run_settings import load_run

ROOT = Path(__file__).parents[2]
DASK = Path(sys.executable).parent / "dask"
COMPOSE = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    program("openssl")
    program("mosquitto_passwd")
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    for _ in range(2):  # a second time changes nothing
        subprocess.run([ROOT / "deploy/secrets.sh", str(folder)], check=True, capture_output=True)
        folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def broker(secrets, tmp_path_factory):
    """Mosquitto with the deployed files; only the paths of the image are other ones."""
    folder, port = tmp_path_factory.mktemp("broker"), free_port()
    text = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text().replace("listener 8883", f"listener {port} 127.0.0.1")
    text = text.replace("/mosquitto/secrets", str(secrets)).replace("/mosquitto/data", str(folder))
    text = text.replace("/mosquitto/config", str(ROOT / "deploy/mosquitto"))
    (folder / "mosquitto.conf").write_text(text + ("user root\n" if os.getuid() == 0 else ""))
    process = subprocess.Popen([program("mosquitto"), "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL)
    wait_for(port)
    yield port
    process.terminate()
    process.wait()


def at(port, secrets, user, **more):
    file = {"trader": "mqtt-password", "producer": "producer-password"}[user]
    password = more.pop("password", (secrets / file).read_text().strip())
    return Broker(
        "localhost", port, client_id=user, username=user, password=password, ca=secrets / "mqtt-ca.pem", **more
    )


async def test_a_signal_goes_from_the_producer_to_the_bot_and_nowhere_else(broker, secrets):
    got = []

    async def consume(source, into):
        async for message in source.messages():
            into.append((message.topic, message.body))
            await message.acknowledge()

    links, spied = [], []
    source = MqttSource(at(broker, secrets, "trader"), tell=lambda is_up, why: links.append(is_up))
    spy = MqttSource(at(broker, secrets, "producer"), tell=lambda is_up, why: links.append(is_up))
    tasks = [asyncio.create_task(consume(source, got)), asyncio.create_task(consume(spy, spied))]
    try:
        await until(lambda: links.count(True) == 2)
        await publish(at(broker, secrets, "producer"), b"one", "trader/v1/signals/tm")
        await publish(at(broker, secrets, "trader"), b"forged", "trader/v1/signals/tm")
        await publish(at(broker, secrets, "producer"), b"elsewhere", "trader/v1/other")
        await publish(at(broker, secrets, "producer"), b"two", "trader/v1/signals/tm")
        await until(lambda: len(got) >= 2)
        await asyncio.sleep(0.3)
    finally:
        for task in tasks:
            task.cancel()
    assert got == [("trader/v1/signals/tm", b"one"), ("trader/v1/signals/tm", b"two")]
    assert spied == []


async def test_a_wrong_password_and_a_stranger_are_refused(broker, secrets):
    for one in (
        at(broker, secrets, "trader", password="guess"),
        Broker("localhost", broker, ca=secrets / "mqtt-ca.pem"),
    ):
        with pytest.raises(MqttDownError):
            await publish(one, b"x", "trader/v1/signals/tm")


@pytest.fixture
def others(tmp_path):
    subprocess.run([ROOT / "deploy/secrets.sh", str(tmp_path / "other")], check=True, capture_output=True)
    return tmp_path / "other"


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves the socket to the collector
async def test_a_broker_under_another_authority_is_refused(broker, others):
    with pytest.raises(MqttDownError, match="certificate"):
        await publish(at(broker, others, "producer"), b"x", "trader/v1/signals/tm")


def test_secrets_are_for_nobody_else_to_read(secrets):
    assert [path.name for path in secrets.iterdir() if path.stat().st_mode & 0o077 and path.is_file()] == []


def test_whatever_a_service_names_is_there():
    for name, service in COMPOSE["services"].items():
        for kind in ("networks", "secrets"):
            assert set(service.get(kind, ())) <= set(COMPOSE[kind]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists() or source == "./secrets", volume
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"]), name
    script = (ROOT / "deploy/secrets.sh").read_text()
    for one in COMPOSE["secrets"].values():
        assert Path(one["file"]).name in script, one


def test_the_bot_is_locked_up_and_its_database_has_no_way_out():
    bot = COMPOSE["services"]["trader"]
    assert bot["read_only"]
    assert bot["cap_drop"] == ["ALL"]
    assert "ports" not in bot
    assert COMPOSE["services"]["postgres"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"]


def test_the_run_of_the_compose_file_is_good_and_on_paper():
    command = COMPOSE["services"]["trader"]["command"]
    settings, _ = load_run(ROOT / command[1])
    assert settings.venue == "paper"
    assert settings.intake.mqtt.host in COMPOSE["services"]
    assert re.search(r"@(\w+)/", settings.journal)[1] in COMPOSE["services"]
    named = [settings.intake.mqtt.password_file, settings.intake.mqtt.ca, *settings.intake.keys.values()]
    assert {Path(one).name for one in named} <= set(COMPOSE["services"]["trader"]["secrets"])


def test_who_is_told_runs_beside_the_bot_with_its_own_secrets_and_none_of_the_exchange(tmp_path, secrets):
    service = COMPOSE["services"]["notify"]
    assert service["profiles"] == ["notify"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "ports" not in service
    assert service["volumes"] == COMPOSE["services"]["trader"]["volumes"]
    assert not [one for one in service["secrets"] if one.startswith("exchange")]
    program_, path = service["command"]
    text = (ROOT / path).read_text()
    head, mark, tail = text.partition("\n# notify:")
    assert mark
    (tmp_path / "run.yaml").write_text(head + mark.replace("# ", "") + tail.replace("\n# ", "\n"))
    assert program_ == "notify"
    choice = load_run(tmp_path / "run.yaml")[0].notify
    named = [one.url_file for one in choice.targets.values()]
    named += [file for bot in choice.bots.values() for file in (bot.token_file, bot.totp_file)]
    assert {one.parent for one in named} == {Path("/run/secrets")}
    assert {one.name for one in named} | {"pgpass"} == set(service["secrets"])
    OneTime((secrets / "commands-totp").read_text().strip())  # the secret that the script makes is one


def test_the_unit_of_who_is_told_runs_a_command_that_exists_and_has_no_key_of_the_exchange():
    unit = (ROOT / "deploy/trader-notify@.service").read_text()
    line = re.search(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)[1].split()
    assert line[1:] == ["notify", "/etc/trader/%i.yaml"]
    assert {"KillSignal=SIGTERM", "Restart=always", "RestartPreventExitStatus=2 4"} <= set(unit.splitlines())
    loaded = re.findall(r"^#?LoadCredential=([\w-]+):/etc/trader/secrets/([\w-]+)$", unit, flags=re.MULTILINE)
    assert all(one == other for one, other in loaded)
    assert not [one for one, _ in loaded if "exchange" in one]
    named = YAML(typ="safe").load((ROOT / "config/notify.yaml").read_text())["notify"]
    wanted = {Path(named[part][key]).name for part in ("telegram", "discord") for key in ("token_file", "totp_file")}
    assert wanted <= {one for one, _ in loaded}


def test_the_unit_runs_a_command_that_exists():
    unit = (ROOT / "deploy/trader@.service").read_text()
    assert {"Type=notify", "NotifyAccess=main", "WatchdogSec=60"} <= set(unit.splitlines())
    line = re.search(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)[1].split()
    assert line[1:] == ["run", "/etc/trader/%i.yaml", "--live"]
    assert "KillSignal=SIGTERM" in unit
    assert "Restart=always" in unit


@pytest.mark.slow
@pytest.mark.parametrize("service", ["scheduler", "worker"])
def test_the_cluster_is_started_with_options_that_exist(service):
    program_, what, *words = COMPOSE["services"][service]["entrypoint"]
    assert program_ == "dask"
    told = subprocess.run([DASK, what, "--help"], capture_output=True, text=True, check=True).stdout
    assert [
        word for word in words if word.startswith("--") and word not in told and word.replace("--no-", "--") not in told
    ] == []
    assert "8786" in " ".join(words)
    assert "tcp://scheduler:8786" in COMPOSE["services"]["sweep"]["command"]
    assert "ports" not in COMPOSE["services"][service]
