"""What the crash tests need beside the bot: a broker and a database of their own."""

import pytest

from tests.services.parts import Mosquitto, Postgres


@pytest.fixture
def broker(tmp_path):
    one = Mosquitto(tmp_path / "mosquitto").start()
    yield one
    one.stop()


@pytest.fixture
def postgres():
    one = Postgres().start()
    yield one
    one.stop()
