"""The control socket: who can reach it, what a line may be, and what is said to whom asks for something else."""

import asyncio
import json
import os
import stat

import pytest

from trader.runtime import control
from trader.runtime.control import LONGEST, NAMES, Command, Control, NoDaemonError, ask, socket_of


class Daemon:
    """Answers what it was asked; `wait` seconds later."""

    def __init__(self, answer=None, wait=0.0):
        self.asked, self.answer, self.wait = [], answer, wait

    async def act(self, command):
        self.asked.append(command)
        await asyncio.sleep(self.wait)
        return {"ok": True, "name": command.name} if self.answer is None else self.answer


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
async def path(tmp_path, daemon):
    path = tmp_path / "run" / "control.sock"
    one = Control(path, daemon.act)
    await one.open()
    yield path
    await one.close()


async def said(path, data):
    """What is answered to these bytes; whatever they are."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    writer.write_eof()
    found = await reader.read()
    writer.close()
    return found


async def test_a_command_is_carried_out_and_answered(path, daemon):
    assert await ask(path, Command("halt", "lunch", "k1")) == {"ok": True, "name": "halt"}
    assert await ask(path, Command("status")) == {"ok": True, "name": "status"}
    assert daemon.asked == [Command("halt", "lunch", "k1"), Command("status", "", "")]
    assert await said(path, b'{"command": "status"}\n') == b'{"ok": true, "name": "status"}\n'
    assert daemon.asked[-1] == Command("status", "", "")


async def test_the_commands_are_these(path, daemon):
    names = (
        "status",
        "halt",
        "resume",
        "flatten",
        "kill",
        "reconcile",
        "adopt",
        "cancel",
        "signal",
        "stop",
        "plan",
        "apply",
    )
    assert names == NAMES
    for name in names:
        assert (await ask(path, Command(name)))["ok"]
    for name in ("withdraw", "Status", ""):
        found = await ask(path, Command(name))
        assert found == {"ok": False, "error": f"unknown command {name!r}; there are {', '.join(names)}"}
    assert [one.name for one in daemon.asked] == list(names)


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{\n", b"[]\n", b"7\n", b'"halt"\n', b"null\n", b'{"name": "halt"}\n', b"\xff\n", b"[" * 50_000 + b"\n"],
)
async def test_what_is_no_command_is_said_to_be_none(path, daemon, line):
    found = json.loads(await said(path, line))
    assert found == {"ok": False, "error": 'a command is one line such as {"command": "status"}'}
    assert daemon.asked == []


async def test_a_line_has_a_bound(path, daemon):
    assert LONGEST == 1_000_000
    argument = "x" * (LONGEST - 100)
    assert (await ask(path, Command("signal", argument)))["ok"]
    assert daemon.asked[0].argument == argument
    with pytest.raises(NoDaemonError):
        await ask(path, Command("signal", "x" * 3 * LONGEST))
    assert len(daemon.asked) == 1
    assert (await ask(path, Command("status")))["ok"], "it listens to others all the same"


async def test_an_answer_may_be_as_long(path, daemon):
    daemon.answer = {"text": "y" * (LONGEST - 1_000), "path": path}
    found = await ask(path, Command("status"))
    assert (len(found["text"]), found["path"]) == (LONGEST - 1_000, str(path))
    daemon.answer = {"text": "y" * 2 * LONGEST}
    with pytest.raises(NoDaemonError, match="no daemon answers"):
        await ask(path, Command("status"))


async def test_only_the_user_of_the_daemon_reaches_it(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_folder_of_somebody_else_is_no_place_for_it(tmp_path, daemon, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4_711)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        await Control(tmp_path / "control.sock", daemon.act).open()
    assert not (tmp_path / "control.sock").exists()


async def test_a_socket_that_was_left_is_replaced_and_a_closed_one_is_gone(tmp_path, daemon):
    path = tmp_path / "a" / "b" / "control.sock"
    path.parent.mkdir(parents=True)
    path.write_text("left behind")
    one = Control(path, daemon.act)
    await one.close()
    assert path.exists(), "what was never opened takes nothing away"
    await one.open()
    assert (await ask(path, Command("status")))["ok"]
    await one.close()
    assert not path.exists()
    deep = Control(tmp_path / "c" / "d" / "control.sock", daemon.act)
    await deep.open()
    (tmp_path / "c" / "d" / "control.sock").unlink()
    await deep.close()
    with pytest.raises(NoDaemonError, match=r"control.sock: no daemon answers \(FileNotFoundError\)"):
        await ask(path, Command("status"))


async def test_who_does_not_answer_in_time_is_no_daemon(path, daemon):
    daemon.wait = 30.0
    with pytest.raises(NoDaemonError, match=r"no daemon answers \(TimeoutError\)"):
        await ask(path, Command("status"), seconds=0.05)


async def test_who_asks_for_nothing_is_let_go(path, monkeypatch):
    assert control.SECONDS == 30.0
    monkeypatch.setattr(control, "SECONDS", 0.05)
    reader, writer = await asyncio.open_unix_connection(str(path))
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_who_hangs_up_without_an_answer_is_named(tmp_path):
    async def silent(reader, writer):
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(silent, str(tmp_path / "s")):
        with pytest.raises(NoDaemonError, match="the daemon hung up"):
            await ask(tmp_path / "s", Command("status"))


@pytest.mark.parametrize("cut", [b'{"ok": true, "mount": "m", "sta', b'{"ok": true', b"{", b"[" * 100_000, b"\xff\n"])
async def test_who_hangs_up_amid_an_answer_is_named(tmp_path, cut):
    async def killed(reader, writer):
        await reader.readline()
        writer.write(cut)
        writer.close()

    async with await asyncio.start_unix_server(killed, str(tmp_path / "s")):
        with pytest.raises(NoDaemonError, match="the daemon hung up amid its answer"):
            await ask(tmp_path / "s", Command("status"))


def test_the_socket_lies_in_the_runs_folder_unless_that_path_is_too_long(tmp_path, monkeypatch):
    from pathlib import Path

    for length, is_here in ((100, True), (101, False)):
        folder = Path("/") / ("d" * (length - len("//control.sock")))
        assert len(str(folder / "control.sock")) == length
        assert (socket_of(folder) == folder / "control.sock") is is_here
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    one, other = socket_of(Path("/" + "d" * 120)), socket_of(Path("/" + "e" * 120))
    assert one != other == socket_of(Path("/" + "e" * 120))
    assert one.parent == tmp_path / f"trader-{os.getuid()}"
    assert (len(one.stem), one.suffix) == (24, ".sock")
