"""What a vendor says: a value about an asset, what it describes and when we could first have had it."""

from dataclasses import dataclass
from datetime import datetime

from trader.core.exits import Exit

MARKET = "MARKET"  # the asset name of a signal about the market as a whole; it can be read, never traded


@dataclass(frozen=True, slots=True)
class Signal:
    """One datum: `value` of `kind` for `asset`, describing `as_of`, knowable since `known_at` (both aware UTC)."""

    asset: str
    kind: str
    value: float
    as_of: datetime
    known_at: datetime
    exits: tuple[Exit, ...] = ()
