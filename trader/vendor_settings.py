"""The layout of a vendor's file: how Token Metrics is asked, which tokens are which assets, and where what it says is kept."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from trader import setting_values as read
from trader.settings import Columns, Count, Duration, File, Layout, Names, SettingsError, load
from trader.yaml_source import Document

Secret = Annotated[SecretStr, BeforeValidator(str)]
Word = Annotated[str, BeforeValidator(read.word("a text"))]


class Vendor(Layout):
    """A vendor of ratings. Keys are better in a file, or in TRADER_KEY."""

    model_config = SettingsConfigDict(title="trader ratings")

    version: Annotated[Literal[1], BeforeValidator(read.version)] = Field(description="version of this layout: 1")
    api: Annotated[Literal["v2", "v3"], BeforeValidator(read.one_of("v2", "v3"))] = Field(
        "v2", description="which of the vendor's versions is asked"
    )
    key: Secret | None = Field(None, description="the API key")
    key_file: File | None = Field(None, description="a file with the key and nothing else")
    header: Word = Field("x-api-key", description="the header that carries the key; older clients send api_key")
    url: Word | None = Field(None, description="another address, such as that of `trader loopback tokenmetrics`")
    credits: Count = Field(10_000, description="requests of a month that the plan includes")
    limit: Count = Field(100, description="rows that one answer may hold")
    apart: Duration = Field("2s", description="between two requests")
    assets: dict[str, int] = Field(description="our asset: the vendor's token id; a ticker alone names several tokens")
    renamed: dict[str, str] = Field(
        default_factory=dict, description="our asset: the vendor's symbol, where it differs and is meant"
    )
    endpoints: Names = Field(("trading_signals",), description="what is asked for")
    lag: Duration = Field("1h", description="how long after its day a row of history counts as known")
    allow: Names | None = Field(None, description="fields that are unknown here and may be left out")
    store: File = Field(Path("../state/ratings.db"), description="where what was seen is kept")


class Import(Layout):
    """How a file of another vendor's ratings is read."""

    model_config = SettingsConfigDict(title="trader ratings import")

    version: Annotated[Literal[1], BeforeValidator(read.version)] = Field(description="version of this layout: 1")
    source: Word = Field(description="who says it")
    kind: Word | None = Field(None, description="of all rows; none = a column says it")
    type: Annotated[Literal["rating", "state", "event"], BeforeValidator(read.one_of("rating", "state", "event"))] = (
        Field("rating", description="rating, state or event")
    )
    columns: Columns = Field(
        default_factory=dict, description="our column name: the file's; asset, kind, as_of, known_at, value"
    )
    assets: dict[str, str] = Field(
        default_factory=dict, description="the file's name of an asset: ours; none = as they are"
    )
    delay: Duration | None = Field(None, description="known_at = as_of + delay, for files without that column")
    store: File = Field(Path("../state/ratings.db"), description="where it is kept")


def load_vendor(path: Path, known: tuple[str, ...]) -> tuple[Vendor, Document]:
    """Read and check the YAML file of a vendor; `known` are the endpoints there are. Raises SettingsError."""
    settings, document = load(Vendor, path)
    strange = [one for one in settings.endpoints if one not in known]
    if strange:
        raise SettingsError(
            f"{document.where(('endpoints',))} endpoints: {', '.join(strange)}: no history there; allowed are {', '.join(known)}"
        )
    if not settings.assets:
        raise SettingsError(
            f"{document.where(('assets',))} assets: none is mapped; write ASSET: TOKEN_ID, such as BTC/USDT: 3375"
        )
    ids = list(settings.assets.values())
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise SettingsError(
            f"{document.where(('assets',))} assets: token {twice[0]} is given to several assets; one of them is wrong"
        )
    return settings, document
