"""The file that `trader config init` writes: a run on paper that works as it is, with what one would change next as comments."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from trader import setting_values as read

VENUES = ("gate", "mexc")
INVEST = 0.98
TOP = 4

TEXT = """\
# yaml-language-server: $schema=run.schema.json
# A run on paper: real prices of {venue}, no keys, no money. `trader run {file}` starts it, `trader doctor {file}` looks it over.
version: 1

name: {name}
venue: paper                # money: {venue}, with account: below, `live: true` and the flag --live
prices: {venue}
capital: {capital} USDT
assets: [{assets}]
timeframe: 1h
state: state                # folder of the journal, the socket and the paper account

strategy:
  name: TopRated            # `trader strategies` lists the others
  parameters:
    kind: trader_grade      # the rating that is followed
    top: {top}                  # hold the best {top}, with {weight} % of the equity each
    enter: 70
    exits:
      - fall_by: 15%

limits:                     # what no order may exceed
  weight_per_asset: {most}%
  order_notional: {notional} USDT
  orders_per_day: {orders}
  drawdown: 25%             # from then on nothing is opened until an operator says so

# Where ratings come from. Without these, `trader signal send {file} {first}=85 --kind trader_grade` sends one by hand.
intake:
  max_age: 3d
#  ratings: tokenmetrics.yaml     # a vendor's API: docs/ratings.md
#  mqtt: {{host: 127.0.0.1, topic: "trader/v1/signals/#"}}

# For money: files with the key and its secret and nothing else (chmod 600); the right to trade, and no other.
#account:
#  key_file: secrets/key
#  secret_file: secrets/secret
"""


SEVERAL = """\
# yaml-language-server: $schema=several.schema.json
# Two mounts on one paper account: each has its own strategy, money, holdings and limits; they share prices, signals and the journal.
# `trader run {file}` starts both, `trader status {file} --mount {name}-top` asks one of them.
version: 1

name: {name}
venue: paper                # money: {venue}, with account: below, `live: true` and the flag --live
prices: {venue}
capital: {capital} USDT           # of which the mounts have shares
assets: [{assets}]          # of mounts that name none of their own
timeframe: 1h
state: state                # folder of the journal, the socket and the paper account

mounts:
  - name: {name}-top        # orders and holdings belong to this name: do not change it later
    share: 60%
    strategy:
      name: TopRated        # `trader strategies` lists the others
      parameters:
        kind: trader_grade  # the rating that is followed
        top: {top}              # hold the best {top}, with {weight} % of the mount's equity each
        enter: 70
        exits:
          - fall_by: 15%
  - name: {name}-band
    share: 40%
    assets: [{first}]
    strategy:
      name: RatingBand
      parameters:
        kind: trader_grade
        enter: 75
        leave: 55
        size: {weight}%
        exits:
          - trail_by: 10%
    limits:
      weight_per_asset: {most}%
      drawdown: 15%

limits:                     # of mounts that have none of their own
  weight_per_asset: {most}%
  orders_per_day: {orders}
  drawdown: 25%             # from then on the mount opens nothing until an operator says so

intake:
  max_age: 3d

# Accounts at exchanges, instead of venue: above; each mount then says on which it trades, with account:.
#accounts:
#  first:
#    venue: gate
#    namespace: main
#    key_file: secrets/gate-key
#    secret_file: secrets/gate-secret
#  second:
#    venue: mexc
#    namespace: bot2
#    key_file: secrets/mexc-key
#    secret_file: secrets/mexc-secret
"""
TEXTS = {"run": TEXT, "several": SEVERAL}


class BeginningError(ValueError):
    """What was asked for makes no configuration."""


def paper(venue: str, assets: Sequence[str], capital: str, *, file: Path, kind: str = "run") -> str:
    """The text of the file; raises BeginningError."""
    if kind not in TEXTS:
        raise BeginningError(f"--kind {kind!r}: {read.near(kind, list(TEXTS))}allowed are {', '.join(TEXTS)}")
    if venue not in VENUES:
        raise BeginningError(f"--venue {venue!r}: {read.near(venue, VENUES)}allowed are {', '.join(VENUES)}")
    try:
        read.names(list(assets))
    except ValueError as error:
        raise BeginningError(f"--assets {','.join(assets)!r}: {error}") from error
    strange = next((one for one in assets if not one.replace("/", "").isalnum() or not one.endswith("/USDT")), None)
    if strange is not None:
        raise BeginningError(f"--assets {strange!r}: allowed are markets in USDT, such as BTC/USDT,ETH/USDT")
    try:
        money = float(str(read.money(float(capital) if _is_number(capital) else capital)))
    except ValueError as error:
        raise BeginningError(f"--capital {capital!r}: {error}") from error
    name = file.stem
    if not name.replace("-", "").replace("_", "").isalnum():
        raise BeginningError(f"{name}: allowed as a name are letters, digits, - and _, as it names the run too")
    top = min(TOP, len(assets))
    weight = 100 * INVEST / top
    most = min(100, ceil(weight * 1.2))
    return TEXTS[kind].format(
        venue=venue, name=name, file=file, capital=f"{money:.10g}", assets=", ".join(assets), top=top, weight=f"{weight:.3g}", most=most,
        notional=ceil(money * most / 100), orders=10 * top, first=assets[0],
    )  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
