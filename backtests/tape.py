"""The tape: history checked before anything is replayed on it.

Frames are refused or their flaws reported, never repaired in silence. Times become int64 nanoseconds here and only here.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backtests.arrivals import Said, arrivals
from backtests.checks import TapeError, need
from backtests.layout import lay_out
from backtests.mapped import mapped
from trader.core.history import Arrivals, Floats, Instants, Panel
from trader.core.instants import in_words, to_ns
from trader.core.instruments import Instrument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    import pandas as pd
    from numpy.typing import ArrayLike


class Tape:
    """Checked history for replays: bars on one base timeframe, ratings and signals by when they were known."""

    def __init__(
        self, panel: Panel, *, instruments: dict[str, Instrument], report: Sequence[str] = (), label: str | None = None,
        delay_ns: int | None = None, omitted: int = 0, withheld: dict[str, Instants] | None = None,
    ) -> None:  # fmt: skip
        self.panel = panel
        self.instruments = instruments
        self.report = list(report)
        self.label = label
        self.delay_ns = delay_ns
        self.omitted_assets = omitted
        self.withheld = withheld or {}

    @classmethod
    def from_frames(  # the notebook's face, one argument per kind of data
        cls,
        bars: pd.DataFrame,
        ratings: pd.DataFrame | None = None,
        signals: pd.DataFrame | None = None,
        instruments: pd.DataFrame | None = None,
        delay: str | timedelta | None = None,
        *,
        label: str | None = None,
    ) -> Tape:
        """Check long frames and lay them out.

        bars[ts, asset, open, high, low, close, volume]: ts is the bar's open, UTC; in time order per asset, no NaN.
        ratings, signals[asset, kind, as_of, known_at, value]; without known_at, `delay` after as_of is assumed.
        instruments[asset, tick, lot, min_notional, fee_on_buy, delisted_at, delisting_loss]; absent: no rounding.
        Raises TapeError.
        """
        from backtests.framed import bars_of  # noqa: PLC0415  # pandas is imported only where frames are

        return cls._framed(lay_out(bars_of(bars)), ratings, signals, instruments, delay, label)

    @classmethod
    def from_columns(  # the same for who has arrays and lists, and no pandas
        cls,
        bars: Mapping[str, ArrayLike],
        ratings: Mapping[str, ArrayLike] | None = None,
        signals: Mapping[str, ArrayLike] | None = None,
        instruments: Sequence[Instrument] = (),
        delay: str | timedelta | None = None,
        *,
        label: str | None = None,
    ) -> Tape:
        """Check plain columns by name and lay them out; the columns, and what is refused, are those of `from_frames`.

        Each column is an array or a list with one value per row, or one value for all rows. Times are datetime64, which are taken as
        UTC as NumPy does, or aware datetimes; numbers are refused as times. No pandas is imported. Raises TapeError.
        """
        from backtests.plain import bars_of, said_of  # noqa: PLC0415  # symmetrical with frames: only who needs it has it

        said = {what: said_of(what, given) for what, given in (("ratings", ratings), ("signals", signals))}
        laid = lay_out(bars_of(bars))
        given = {one.asset: one for one in instruments}
        return cls._of(laid, said, {name: given.get(name, Instrument(name)) for name in laid[0]}, delay, label)

    @classmethod
    def _framed(
        cls, laid: tuple[list[str], Panel, list[str]], ratings: pd.DataFrame | None, signals: pd.DataFrame | None,
        instruments: pd.DataFrame | None, delay: str | timedelta | None, label: str | None,
    ) -> Tape:  # fmt: skip
        said: dict[str, Said | None] = {}
        for what, frame in (("ratings", ratings), ("signals", signals)):
            if frame is not None:
                from backtests.framed import said_of  # noqa: PLC0415  # pandas is imported only where frames are

                said[what] = said_of(what, frame)
        return cls._of(laid, said, _instruments(instruments, laid[0]), delay, label)

    @classmethod
    def _of(
        cls, laid: tuple[list[str], Panel, list[str]], said: dict[str, Said | None], known: dict[str, Instrument],
        delay: str | timedelta | None, label: str | None,
    ) -> Tape:  # fmt: skip
        names, panel, report = laid
        omitted: set[str] = set()
        withheld: dict[str, Instants] = {}
        delays: list[int] = []
        for what, given in said.items():
            for kind, rows in arrivals(what, given, names, delay=delay).items():
                getattr(panel, what)[kind] = rows.rows
                omitted |= rows.omitted
                delays.append(rows.delay_ns)
                if len(rows.withheld):
                    withheld[kind] = rows.withheld
                report.extend(rows.report)
        for name, one in known.items():
            if one.delisted_at is not None:
                panel.delisted_ns[name] = to_ns(one.delisted_at)
        return cls(
            panel, instruments=known, report=report, label=label, delay_ns=max(delays) if delays else None,
            omitted=len(omitted), withheld=withheld,
        )  # fmt: skip

    @classmethod
    def read(
        cls, bars: str | Path, ratings: str | Path | None = None, signals: str | Path | None = None,
        instruments: str | Path | None = None, delay: str | timedelta | None = None, *, label: str | None = None,
    ) -> Tape:  # fmt: skip
        """Read frames from Parquet or CSV files, or from folders of them, and check them as `from_frames` does."""
        from backtests.files import read_frame  # noqa: PLC0415  # pandas is imported only where files are read

        rated, said, traded = (
            None if path is None else read_frame(Path(path)) for path in (ratings, signals, instruments)
        )
        return cls.from_frames(read_frame(Path(bars)), rated, said, traded, delay, label=label)

    @classmethod
    def mapped(
        cls, folder: str | Path, ratings: pd.DataFrame | None = None, signals: pd.DataFrame | None = None,
        instruments: pd.DataFrame | None = None, delay: str | timedelta | None = None, *, label: str | None = None,
    ) -> Tape:  # fmt: skip
        """Map a folder of candles, one file per asset, such as `trader data download` leaves: laid out once, not loaded.

        What a file grew by since is appended. Raises TapeError.
        """
        return cls._framed(mapped(Path(folder), _laid), ratings, signals, instruments, delay, label)

    def rating_frame(self) -> pd.DataFrame:
        """The ratings as a long frame: asset, kind, as_of, known_at, value."""
        import pandas as pd  # noqa: PLC0415

        names = [*self.panel.names, "MARKET"]
        parts = [
            pd.DataFrame(
                {
                    "asset": [names[i] for i in rows.asset.tolist()],
                    "kind": kind,
                    "as_of": pd.to_datetime(rows.as_of_ns, unit="ns", utc=True),
                    "known_at": pd.to_datetime(rows.known_ns, unit="ns", utc=True),
                    "value": rows.value,
                }
            )
            for kind, rows in self.panel.ratings.items()
        ]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def retold(self, change: Callable[[str, Arrivals], Arrivals], label: str | None = None) -> Tape:
        """The same bars with ratings and signals changed kind by kind: for an audit, which asks what would have been."""
        panel = replace(
            self.panel, ratings={kind: change(kind, rows) for kind, rows in self.panel.ratings.items()},
            signals={kind: change(kind, rows) for kind, rows in self.panel.signals.items()},
        )  # fmt: skip
        return Tape(
            panel, instruments=self.instruments, report=self.report, label=label or self.label, delay_ns=self.delay_ns,
            omitted=self.omitted_assets, withheld=self.withheld,
        )  # fmt: skip

    @property
    def assets(self) -> list[str]:
        """The names of the assets, ascending."""
        return self.panel.names

    @property
    def least(self) -> tuple[dict[str, float], dict[str, float]]:
        """The lot and the least notional by asset, where there is one: what is held of less cannot be sold."""
        known = self.instruments.items()
        return (
            {name: float(one.lot) for name, one in known if one.lot is not None},
            {name: float(one.min_notional) for name, one in known if one.min_notional is not None},
        )

    @property
    def step_ns(self) -> int:
        """The base timeframe in nanoseconds."""
        return self.panel.step_ns

    @property
    def opens_ns(self) -> Instants:
        """When the bars of the grid open."""
        return self.panel.opens_ns

    @property
    def closes_ns(self) -> Instants:
        """When they close."""
        return self.panel.closes_ns

    @property
    def open(self) -> Floats:
        """Opens, float64 [asset, time], NaN = no bar."""
        return self.panel.open

    @property
    def high(self) -> Floats:
        """Highs, laid out alike."""
        return self.panel.high

    @property
    def low(self) -> Floats:
        """Lows, laid out alike."""
        return self.panel.low

    @property
    def close(self) -> Floats:
        """Closes, laid out alike."""
        return self.panel.close

    @property
    def volume(self) -> Floats:
        """Volumes, laid out alike."""
        return self.panel.volume

    def require(self, assets: Sequence[str]) -> None:
        """Raise TapeError when an asset is not on the tape, with the nearest name that is."""
        for asset in assets:
            if asset not in self.panel.names:
                near = difflib.get_close_matches(asset, self.panel.names, 1)
                raise TapeError(
                    f"asset {asset!r} is not on the tape; "
                    + (f"did you mean {near[0]!r}?" if near else f"it has {self.panel.names[:8]}")
                )

    def __repr__(self) -> str:
        size = self.panel.close.shape
        return (
            f"Tape({size[0]} assets x {size[1]} bars of {in_words(self.step_ns)}, ratings {sorted(self.panel.ratings)})"
        )


def _laid(bars: pd.DataFrame) -> tuple[list[str], Panel, list[str]]:
    from backtests.framed import bars_of  # noqa: PLC0415  # pandas is imported only where frames are

    return lay_out(bars_of(bars))


def _instruments(frame: pd.DataFrame | None, names: list[str]) -> dict[str, Instrument]:
    found = {name: Instrument(name) for name in names}
    if frame is None:
        return found
    import pandas as pd  # noqa: PLC0415

    from backtests.cells import checked  # noqa: PLC0415  # it imports pandas too

    frame = checked("instruments", frame, TapeError)
    need(frame, ("asset",), "instruments")
    allowed = {"asset", "venue", "symbol", "tick", "lot", "min_notional", "fee_on_buy", "delisted_at", "delisting_loss"}
    for column in frame.columns:
        if column not in allowed:
            near = difflib.get_close_matches(str(column), sorted(allowed), 1)
            raise TapeError(
                f"instruments: unknown column {column!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; allowed are {sorted(allowed)}")
            )
    for row, record in enumerate(frame.to_dict("records")):
        given = {str(key): value for key, value in record.items() if not pd.isna(value)}
        asset = str(given["asset"])
        if asset not in found:
            continue
        if "delisted_at" in given:
            at = pd.Timestamp(given["delisted_at"])
            given["delisted_at"] = (at.tz_localize("UTC") if at.tz is None else at.tz_convert("UTC")).to_pydatetime()
        try:
            found[asset] = Instrument(**given)
        except (TypeError, ValueError) as error:
            raise TapeError(f"instruments row {row}: {error}") from error
    return found
