"""The key that a state folder belongs to, by its fingerprint: another account's key must not go on with the facts of this one.

It is bound at the first start with money, or by `trader doctor --bind`; the key itself is never written.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from trader.adapters.durable import make_folder, write_whole
from trader.opening import of_account
from trader.origins import fingerprint
from trader.run_settings import Run, secret_of

FILE = "key-binding.json"


class KeyChangedError(ValueError):
    """The key is not the one that the state folder is bound to."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Which key, at which venue; a rehearsal at another address is an environment of its own."""

    venue: str
    fingerprint: str
    rehearses: bool

    def __str__(self) -> str:
        return f"{self.fingerprint} at {self.venue}{' (rehearsal)' if self.rehearses else ''}"


def binding_of(settings: Run, home: Path) -> Binding:
    """What the configuration says; raises SettingsError where the key cannot be read."""
    key = secret_of(settings.account.key, settings.account.key_file, home, "account.key")
    return Binding(settings.venue, fingerprint(key), settings.account.url is not None)


def bound(folder: Path, label: str = "") -> Binding | None:
    """What the folder is bound to; None where it is to nothing yet. Raises KeyChangedError where that cannot be read."""
    path = folder / of_account(FILE, label)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Binding(str(found["venue"]), str(found["fingerprint"]), bool(found["rehearses"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyChangedError(
            f"{path} cannot be read: {type(error).__name__}; `trader doctor --bind` writes it anew"
        ) from error


def bind(folder: Path, binding: Binding, label: str = "") -> None:
    """Bind the folder, whatever it was bound to."""
    make_folder(folder)
    text = json.dumps({"venue": binding.venue, "fingerprint": binding.fingerprint, "rehearses": binding.rehearses})
    write_whole(folder / of_account(FILE, label), text + "\n")


def hold(settings: Run, home: Path, folder: Path, label: str = "") -> None:
    """Bind at the first start with money, and from then on require the same key; raises KeyChangedError."""
    now, before = binding_of(settings, home), bound(folder, label)
    if before is None:
        bind(folder, now, label)
    elif before != now:
        raise KeyChangedError(
            f"{folder} is bound to the key {before}, and the configuration has {now}: its facts belong to another account or"
            " environment; give this run another name:, or, where the account is the same, run `trader doctor CONFIG --bind`"
        )
