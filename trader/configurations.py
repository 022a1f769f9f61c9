"""The kinds of configuration there are, and which of them a file is: told by its keys, so that nobody has to say it."""

from pathlib import Path

from trader import yaml_source
from trader.run_settings import Run
from trader.settings import Backtest, Layout, SettingsError, load
from trader.vendor_settings import Import, Vendor
from trader.yaml_source import Document, YamlError

KINDS: dict[str, type[Layout]] = {"run": Run, "backtest": Backtest, "ratings": Vendor, "import": Import}


def kind_of(path: Path) -> str:
    """The kind of a file: the one that knows most of its keys; raises SettingsError where none does."""
    try:
        keys = set(yaml_source.read(path).values)
    except YamlError as error:
        raise SettingsError(str(error)) from error
    known = {kind: len((keys - {"version"}) & set(model.model_fields)) for kind, model in KINDS.items()}
    best = max(known, key=lambda kind: known[kind])
    if not known[best]:
        raise SettingsError(
            f"{path}:1:1: no key of it belongs to a configuration of this program; `trader config init` writes a run's file,"
            f" `trader config schema {'|'.join(KINDS)}` prints what is allowed"
        )
    return best


def read(path: Path) -> tuple[Layout, Document]:
    """The values of a file of any kind, each checked by itself; raises SettingsError with every problem found."""
    return load(KINDS[kind_of(path)], path)
