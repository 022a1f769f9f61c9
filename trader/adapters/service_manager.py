"""The service manager: systemd's protocol of notifications, one datagram each to the socket that it names. Nobody waits for an answer."""

import socket
from contextlib import suppress


class ServiceManager:
    """Tells a service manager how the process stands; without an address, nobody."""

    def __init__(self, address: str = "") -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def tell(self, *lines: str) -> None:
        """Send one notification; a manager that is away or busy holds up nothing."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            one.sendto("\n".join(lines).encode(), self._address)
