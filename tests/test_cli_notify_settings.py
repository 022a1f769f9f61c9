"""`trader notify` without a daemon: its test, its rehearsal, and what is wrong with a file, said without a secret."""

import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pyotp
import pytest
from typer.testing import CliRunner

from tests.services.inboxes import TOKEN, Inbox
from tests.services.parts import full, seen_when
from tests.test_cli_notify import TOTP, TRADER, trader
from trader.adapters.lock import FolderLock
from trader.cli import app, main
from trader.doctor_house import notify_row
from trader.notifying import guarded
from trader.run_settings import differences, load_run

ROOT = Path(__file__).parents[1]


@pytest.fixture
def ends():
    both = [Inbox(), Inbox()]
    yield both
    for one in both:
        one.close()


def written(folder, notify, **files):
    """A paper run with this part, and files beside it."""
    for name, text in files.items():
        (folder / name).write_text(text + "\n")
    path = folder / "run.yaml"
    text = (ROOT / "config/paper.yaml").read_text()
    path.write_text(text + "\nstate: state\nnotify:\n" + "".join(f"  {line}\n" for line in notify.splitlines()))
    return path


def said(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    out = capsys.readouterr()
    return ended.value.code, out.out + out.err


def test_a_test_tries_every_target_and_says_what_came_of_each(tmp_path, ends, capsys):
    good, bad = ends
    bad.status = 403
    path = written(tmp_path, "targets: {phone: {url_file: one}, mail: {url_file: two}}", one=good.url(), two=bad.url())
    code, out = said(capsys, "notify", path, "--test")
    assert (code, out) == (3, "phone: taken\nmail: HTTP 403\n")
    assert good.texts == ["test\ntrader notify --test of weekly-top"]
    bad.status = 200
    assert said(capsys, "notify", path, "--test")[0] == 0


@pytest.mark.slow
@full
def test_a_rehearsal_prints_what_would_be_sent_and_sends_and_writes_nothing(tmp_path, ends):
    trader("demo", "--days", 3, "--venue", "paper", "--folder", tmp_path)
    path = tmp_path / "run.yaml"
    (tmp_path / "one").write_text(ends[0].url())
    path.write_text(path.read_text() + "notify: {targets: {mail: {url_file: one}}, gather: 0s}\n")
    before = sorted(tmp_path.rglob("*"))
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [*TRADER, "notify", str(path), "--dry-run", "--after", "0"], stdout=out, stderr=out, cwd=ROOT
        )
    try:
        seen_when(lambda: "fill: buy" in (tmp_path / "out").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert "to mail (" in (tmp_path / "out").read_text()
    assert ends[0].asked == 0
    assert [
        one for one in sorted(tmp_path.rglob("*")) if one.name not in {"out", "journal.db-shm", "journal.db-wal"}
    ] == [one for one in before if one.name not in {"journal.db-shm", "journal.db-wal"}]


@pytest.mark.parametrize(
    ("notify", "place", "says"),
    [
        (
            "targets: {phone: {url_file: x, level: loud}}",
            "targets.phone.level",
            "'loud': allowed are info, warning, critical",
        ),
        ("targets: {phone: {level: info}}", "targets.phone", "exactly one of url: and url_file:"),
        (
            "targets: {phone: {url: 'json://h/SECRET', url_file: x}}",
            "targets.phone",
            "exactly one of url: and url_file:",
        ),
        ("targets: {phone: 'json://h/SECRET'}", "targets.phone", "such as {url_file"),
        ("targets: {'json://h/SECRET': {level: info}}", "targets", "a name of a target is a word"),
        ("targets: ['json://h/SECRET']", "targets", "a mapping of names to targets"),
        ("targets: {phone: {ulr: 'json://h/SECRET'}}", "targets.phone", "did you mean url"),
        ("heartbeat: 'https://h/SECRET'", "heartbeat", "such as {url_file"),
        ("telegram: '1:SECRET'", "telegram", "such as {token_file"),
        ("telegram: {token: '1:SECRET', totp: SECRET, users: ['@me']}", "telegram.users", "no proof of who it is"),
        ("discord: '1.SECRET'", "discord", "such as {token_file"),
        ("discord: {token: '1.SECRET', totp: SECRET, users: [1]}", "discord.channel", "channel: number of the channel"),
        (
            "discord: {token: '1.SECRET', totp: SECRET, users: [1], channel: general}",
            "discord.channel",
            "'general': allowed is Discord's number of a channel",
        ),
        (
            "discord: {token: '1.SECRET', totp: SECRET, users: [me], channel: 5}",
            "discord.users",
            "no proof of who it is",
        ),
        ("telegram: {token: '1:SECRET', users: [1]}", "telegram", "exactly one of totp: and totp_file:"),
        ("quiet: {from: '22:00', until: '25:00', zone: UTC}", "quiet", "until = '25:00'"),
        ("quiet: {from: '22:00', until: '07:00', zone: Berlin}", "quiet", "Europe/Berlin"),
        ("quiet: {from: '22:00', till: '07:00', zone: UTC}", "quiet", "till: unknown key; did you mean until?"),
        ("repeat: hourly", "repeat", "'hourly': allowed is a duration"),
        ("limit: 0", "limit", "whole number from 1 up"),
        ("alarms: {drawdown: 20}", "alarms.drawdown", "did you mean 20%?"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_never_shows_a_secret(tmp_path, capsys, notify, place, says):
    path = written(tmp_path, notify)
    code, out = said(capsys, "notify", path)
    assert code == 2
    assert re.search(rf"run\.yaml:\d+:\d+ notify\.{re.escape(place)}", out), out
    assert says in out
    assert "SECRET" not in out


def test_a_run_without_anybody_to_tell_says_where_the_keys_are_explained(tmp_path, capsys):
    assert "docs/notifications.md" in said(capsys, "notify", ROOT / "config/paper.yaml")[1]
    path = written(tmp_path, "targets: {phone: {url: 'json://127.0.0.1/x'}}")
    for words, says in (
        (("--after", "3"), "belongs to --dry-run"),
        (("--test", "--dry-run"), "give one of them"),
        (("--new-totp",), "notify.telegram.totp_file"),
    ):
        code, out = said(capsys, "notify", path, *words)
        assert (code, says in out) == (2, True), out


def test_an_address_that_is_none_is_an_error_without_the_address(tmp_path, capsys):
    path = written(tmp_path, "targets: {phone: {url_file: one}}", one="foo://SECRET-SECRET-SECRET")
    code, out = said(capsys, "notify", path)
    assert code == 2
    assert "notify.targets.phone: Apprise knows no service for this address, one that begins with foo://" in out
    assert "SECRET" not in out


def test_two_notifiers_of_one_run_would_tell_everything_twice(tmp_path, capsys):
    path = written(tmp_path, "targets: {phone: {url: 'json://127.0.0.1/x'}}")
    lock = FolderLock(tmp_path / "state/weekly-top/notify")
    lock.take()
    code, out = said(capsys, "notify", path)
    lock.release()
    assert (code, "works there already" in out) == (4, True)


def test_a_new_secret_is_for_its_owner_only_and_never_overwritten(tmp_path, capsys):
    telegram = "telegram: {token_file: token, totp_file: totp, users: [1]}"
    path = written(tmp_path, telegram, token=TOKEN)
    code, out = said(capsys, "notify", path, "--new-totp")
    secret = (tmp_path / "totp").read_text().strip()
    assert (code, stat.S_IMODE((tmp_path / "totp").stat().st_mode)) == (0, 0o600)
    assert pyotp.parse_uri(out.splitlines()[-1]).secret == secret
    code, out = said(capsys, "notify", path, "--new-totp")
    assert (code, secret in out) == (4, False)
    assert (tmp_path / "totp").read_text().strip() == secret


def test_two_services_may_have_one_secret_or_each_its_own(tmp_path, capsys):
    for other, count in (("totp", 1), ("mine", 2)):
        folder = tmp_path / other
        folder.mkdir()
        path = written(
            folder,
            "telegram: {token_file: token, totp_file: totp, users: [1]}\n"
            f"discord: {{token_file: token, totp_file: {other}, users: [1], channel: 5}}",
            token=TOKEN,
        )
        code, out = said(capsys, "notify", path, "--new-totp")
        assert (code, out.count("otpauth://")) == (0, count)
        guards = guarded(load_run(path)[0].notify, folder)
        assert [len(one.peers) for one in guards.values()] == ([1, 1] if count == 1 else [0, 0])


def test_secrets_of_this_part_are_hidden_where_values_are_shown(tmp_path):
    path = written(
        tmp_path,
        "targets: {phone: {url: 'json://h/SECRET-1'}, mail: {url_file: two}}\nheartbeat: {url: 'https://h/SECRET-3'}\n"
        "telegram: {token: '1:SECRET-4', totp_file: five, users: [1]}\n"
        "discord: {token: '1.SECRET-6', totp: SECRET-7, users: [1], channel: 5}",
        two="json://h/SECRET-2", five=TOTP,
    )  # fmt: skip
    for words in (("config", "show", path), ("config", "show", path, "--json")):
        out = CliRunner().invoke(app, list(map(str, words))).stdout
        assert "***" in out
        assert "SECRET-" not in out
        assert TOTP not in out
        assert "notify" in out


def test_the_doctor_looks_at_addresses_and_sends_nothing(tmp_path, ends):
    path = written(tmp_path, "targets: {phone: {url_file: one, level: critical}}", one=ends[0].url())
    settings, _ = load_run(path)
    assert notify_row(settings, tmp_path).found == "phone from critical on"
    (tmp_path / "one").write_text("foo://x-secret")
    row = notify_row(settings, tmp_path)
    assert (row.state, "x-secret" in row.found) == ("fail", False)
    assert notify_row(load_run(ROOT / "config/paper.yaml")[0], tmp_path).state == "skip"
    assert ends[0].asked == 0


def test_help_starts_without_the_extra():
    code = "import sys; sys.modules['apprise'] = sys.modules['pyotp'] = None; from trader.cli import main; main(['notify', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "trader notify config/live.yaml --test" in done.stdout, done.stderr


def test_a_missing_extra_is_named_with_its_remedy(tmp_path):
    path = written(tmp_path, "targets: {phone: {url: 'json://127.0.0.1/x'}}")
    code = f"import sys; sys.modules['apprise'] = None; from trader.cli import main; main(['notify', {str(path)!r}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "signal-trader[notify]" in done.stderr) == (3, True), done.stderr


def test_a_reload_says_that_an_address_changes_and_not_to_what(tmp_path):
    urls = ("json://h/SECRET-1", "json://h/SECRET-2")
    runs = [load_run(written(tmp_path, f"targets: {{phone: {{url: '{url}'}}}}\nlimit: 5"))[0] for url in urls]
    runs.append(load_run(ROOT / "config/paper.yaml")[0])
    assert differences(runs[0], runs[1]) == ["notify.targets.phone.url: changes"]
    assert "SECRET" not in "".join(differences(runs[0], runs[2]) + differences(runs[2], runs[0]))


def test_an_address_may_come_from_the_environment(tmp_path, ends, monkeypatch, capsys):
    path = written(tmp_path, "targets: {phone: {level: warning, url: 'json://127.0.0.1:1/x'}}")
    monkeypatch.setenv("TRADER_NOTIFY__TARGETS__PHONE__URL", ends[0].url())
    assert said(capsys, "notify", path, "--test") == (0, "phone: taken\n")
