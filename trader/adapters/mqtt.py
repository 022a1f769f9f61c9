"""MQTT: a persistent session with QoS 1, in which a message is acknowledged by hand, after it was kept.

aiomqtt acknowledges on receipt, so that a crash loses what was not handled yet. Its client underneath can leave the acknowledging
to us; that is the one private attribute used here, and tests/adapters/test_mqtt.py fails loudly when it moves.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from trader.ports import JournalDownError, Message

TOPIC = "trader/v1/signals"
REFUSED = 0x80  # from here on a code of a subscription is a refusal (MQTT 3.1.1, 3.9.3)
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are there; `ca` is the file with the authority that signed its certificate."""

    host: str = "127.0.0.1"
    port: int = 1883
    topic: str = f"{TOPIC}/#"
    client_id: str = "trader"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    keepalive: int = 15

    def client(self, identifier: str, *, persistent: bool) -> aiomqtt.Client:
        """A client that is not connected yet."""
        context = None if self.ca is None else ssl.create_default_context(cafile=str(self.ca))
        return aiomqtt.Client(
            self.host, self.port, identifier=identifier, username=self.username, password=self.password,
            clean_session=not persistent, keepalive=self.keepalive, timeout=10.0, tls_context=context,
        )  # fmt: skip


async def _anybody() -> None:
    """There is no other process to give way to."""


class MqttSource:
    """Signals from a broker; `tell` is called with the state of the link when it changes.

    may: awaited before each connection, and raises where the session is another process's by now: a broker ends the older of two
    sessions of one name, so that a process that was replaced and comes back would take it away again.
    """

    def __init__(
        self, broker: Broker, *, tell: Callable[[bool, str], None] = lambda _up, _why: None,
        may: Callable[[], Awaitable[None]] = _anybody,
    ) -> None:  # fmt: skip
        self.name = f"mqtt {broker.host}:{broker.port}"
        self._broker, self._tell, self._may = broker, tell, may

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages for ever; the connection is made anew whenever it is lost, and what was not acknowledged comes again."""
        failures = 0
        while True:
            try:
                await self._may()
                client = self._broker.client(self._broker.client_id, persistent=True)
                client._client.manual_ack_set(True)  # noqa: SLF001 - see above
                async with client:
                    await _subscribed(client, self._broker)
                    failures = 0
                    self._tell(True, "connected")
                    async for message in client.messages:
                        yield self._message(client, message)
            except (aiomqtt.MqttError, MqttDownError, OSError, JournalDownError) as error:
                self._tell(False, str(error))
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1

    @staticmethod
    def _message(client: aiomqtt.Client, message: aiomqtt.Message) -> Message:
        async def acknowledge() -> None:
            client._client.ack(message.mid, message.qos)  # noqa: SLF001 - see above; on a lost connection it comes again

        return Message("mqtt", str(message.topic), bytes(message.payload), acknowledge, bool(message.retain))


async def publish(broker: Broker, body: bytes, topic: str, *, retain: bool = False) -> None:
    """Send one message with QoS 1 and wait until the broker has it; raises MqttDownError."""
    try:
        async with broker.client("", persistent=False) as client:
            await client.publish(topic, body, qos=1, retain=retain)
    except (aiomqtt.MqttError, OSError) as error:
        raise MqttDownError(f"mqtt {broker.host}:{broker.port}: {error}") from error


async def reach(broker: Broker) -> None:
    """Connect and subscribe as the bot does, under a name of the moment, and leave; raises MqttDownError."""
    try:
        async with broker.client("", persistent=False) as client:
            await _subscribed(client, broker)
    except (aiomqtt.MqttError, OSError) as error:
        raise MqttDownError(f"mqtt {broker.host}:{broker.port}: {error}") from error


async def _subscribed(client: aiomqtt.Client, broker: Broker) -> None:
    """Subscribe; raises MqttDownError where the broker does not grant it with QoS 1, which it says in its answer alone."""
    granted = await client.subscribe(broker.topic, qos=1)
    codes = [one if isinstance(one, int) else one.value for one in granted or ()]
    if not codes or min(codes) < 1 or max(codes) >= REFUSED:
        raise MqttDownError(
            f"mqtt {broker.host}:{broker.port}: {broker.topic} is not granted with QoS 1 (codes {codes})"
        )


class MqttDownError(Exception):
    """The broker cannot be reached or refuses us."""
