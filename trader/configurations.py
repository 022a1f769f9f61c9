"""The kinds of configuration there are, and which of them a file is: told by its keys, so that nobody has to say it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from trader import yaml_source
from trader.run_settings import Run, asked
from trader.settings import Backtest, Layout, SettingsError, load
from trader.several_settings import Several
from trader.vendor_settings import Import, Vendor
from trader.yaml_source import Document, YamlError

KINDS: dict[str, type[Layout]] = {
    "run": Run,
    "several": Several,
    "backtest": Backtest,
    "ratings": Vendor,
    "import": Import,
}
BESIDE: dict[str, Callable[[Document], Sequence[type[Layout]]]] = {  # whose variables may be set as well
    "run": asked, "several": asked, "ratings": lambda _: (Run, Several), "import": lambda _: (Run, Several),
}  # fmt: skip
FIRST = {"run", "several"}  # of a variable that both know it is theirs


def kind_of(path: Path) -> str:
    """The kind of a file: the one that knows most of its keys; raises SettingsError where none does."""
    try:
        keys = set(yaml_source.read(path).values)
    except YamlError as error:
        raise SettingsError(str(error)) from error
    if "mounts" in keys:
        return "several"  # of what it has besides, a run of one mount has as much
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
    kind = kind_of(path)
    return load(KINDS[kind], path, beside=BESIDE.get(kind, lambda _: ()), is_second=kind not in FIRST)
