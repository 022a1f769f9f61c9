"""The layout of a vendor's file: how Token Metrics is asked, which tokens are which assets, and where what it says is kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from pydantic_settings import SettingsConfigDict

from trader import setting_values as read
from trader.core.instants import SECOND, duration
from trader.setting_types import Columns, Count, Duration, File, Part, Secret, Share
from trader.settings import Layout, SettingsError, load
from trader.yaml_source import Document

Word = Annotated[str, BeforeValidator(read.word("a text"))]


def _token(value: object) -> object:
    """A whole number is an id."""
    if not isinstance(value, int | Mapping | TokenChoice) or isinstance(value, bool):
        raise ValueError(
            "allowed is the vendor's token id, such as 3375, or what is known of it, such as {symbol: TRAC}"
        )
    return {"id": value} if isinstance(value, int) else value


class TokenChoice(Part):
    """One of the vendor's tokens. Without an id it is not used: `trader assets find` looks the id up by the rest."""

    id: Count | None = Field(None, description="the vendor's token id")
    symbol: Word | None = Field(None, description="the vendor's symbol, where it is not the asset's own")
    name: Word | None = Field(None, description="the vendor's name of it")
    slug: Word | None = Field(None, description="its name in the vendor's stream of prices, such as bitcoin")
    contract: dict[str, str] = Field(
        default_factory=dict, description="chain: address of its contract, to compare with"
    )
    tickers: dict[str, str] = Field(
        default_factory=dict,
        description="venue: what the venue itself calls it, where that name is another coin's elsewhere",
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        """An id alone is enough."""
        return {"anyOf": [{"type": "integer", "minimum": 1}, handler(core)]}


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
    assets: dict[str, Annotated[TokenChoice, BeforeValidator(_token)]] = Field(
        description="our asset: the vendor's token id, or what is known of the token; a ticker alone names several tokens"
    )
    within: Share = Field(
        0.03, description="how far the vendor's price of a token may be from the venue's when a bot starts"
    )
    endpoints: Annotated[tuple[str, ...], BeforeValidator(read.names_of("endpoints", "[trading_signals]"))] = Field(
        ("trading_signals",), description="what is asked for"
    )
    lag: Duration = Field("1h", description="how long after its day a row of history counts as known")
    polls: dict[str, Duration] = Field(
        default_factory=dict,
        description="endpoint: how often it is asked while the bot runs; none = hourly for what is hourly and for moonshots, else daily",
    )
    hourly_lag: Duration = Field("5m", description="how long after its hour an hourly row is asked for")
    indices: dict[str, int] = Field(
        default_factory=dict,
        description="for indices_holdings, the kind that its weights become: the vendor's index id",
    )
    weight_unit: Annotated[Literal["percent", "fraction"], BeforeValidator(read.one_of("percent", "fraction"))] = Field(
        "percent", description="what the weights of an index sum to: 100 or 1; a sum that is neither is refused"
    )
    position: Annotated[
        Literal["plain", "binary", "unused"], BeforeValidator(read.one_of("plain", "binary", "unused"))
    ] = Field(
        "plain",
        description="how the hourly POSITION is read: -1, 0, 1 as it comes; 0 and 1, where 0 is short; not at all",
    )
    provisional: Annotated[bool, BeforeValidator(read.truth)] = Field(
        False, description="rows of a day that is not over are handed on while the bot runs; they can still change"
    )
    allow: Annotated[tuple[str, ...], BeforeValidator(read.names_of("field names", "[NEW_FIELD]"))] | None = Field(
        None, description="fields that are unknown here and may be left out"
    )
    store: File = Field(Path("../state/ratings.db"), description="where what was seen is kept")

    @property
    def ids(self) -> dict[str, int]:
        """Our assets and the vendor's token ids, of those that have one."""
        return {asset: one.id for asset, one in self.assets.items() if one.id is not None}

    @property
    def nameless(self) -> list[str]:
        """Assets without an id: nothing is asked about them."""
        return [asset for asset, one in self.assets.items() if one.id is None]


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


def load_vendor(path: Path, known: tuple[str, ...], beside: Sequence[type[Layout]] = ()) -> tuple[Vendor, Document]:
    """Read and check the YAML file of a vendor; `known` are the endpoints there are. Raises SettingsError.

    beside: layouts whose variables may be set as well, and come first: those of the run that asks this vendor.
    """
    settings, document = load(Vendor, path, beside=lambda _: beside, is_second=True)
    strange = [one for one in settings.endpoints if one not in known]
    if strange:
        raise SettingsError(
            f"{document.where(('endpoints', settings.endpoints.index(strange[0])))} endpoints: {', '.join(strange)}: unknown; {read.near(strange[0], known)}allowed are {', '.join(known)}"
        )
    idle = [one for one in settings.polls if one not in settings.endpoints]
    if idle:
        raise SettingsError(
            f"{document.where(('polls', idle[0]))} polls: {idle[0]} is not asked for; {read.near(idle[0], settings.endpoints)}put it under endpoints:, or leave it out"
        )
    quick = [one for one, each in settings.polls.items() if duration(each) < 60 * SECOND]
    if quick:
        raise SettingsError(
            f"{document.where(('polls', quick[0]))} polls: {quick[0]}: {settings.polls[quick[0]]} is too often; each poll costs a credit, and nothing is published within a minute"
        )
    if ("indices_holdings" in settings.endpoints) != bool(settings.indices):
        place = ("indices",) if settings.indices else ("endpoints",)
        raise SettingsError(
            f"{document.where(place)} endpoints: indices_holdings and indices: go together; write indices: {{index_weight: ID}} with the vendor's id of an index"
        )
    if settings.limit < 2:
        raise SettingsError(
            f"{document.where(('limit',))} limit = 1: an answer with as many rows as it may hold could lack some, so none would be taken; write 2 or more"
        )
    if not settings.assets:
        raise SettingsError(
            f"{document.where(('assets',))} assets: none is mapped; write ASSET: TOKEN_ID, such as BTC/USDT: 3375"
        )
    ids = list(settings.ids.values())
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        several = [asset for asset, one in settings.ids.items() if one == twice[0]]
        raise SettingsError(
            f"{document.where(('assets', several[-1]))} assets: token {twice[0]} is given to {' and '.join(several)}: one of them is"
            " wrong; `trader assets find` looks ids up"
        )
    return settings, document
