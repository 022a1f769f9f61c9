"""A plan: all that will happen in one story, as data. It is drawn from a seed, can be kept as JSON, and parts of it can be left out.

Only what chance does while the story is told (which request is lost) comes from the seed again; so a plan with less in it is a story of its
own, and the smallest that still fails is what is worth keeping (`shrink.py`, `corpus/`).
"""

import json
from dataclasses import asdict, dataclass, field, fields
from random import Random

ASSETS = ("BTC", "ETH")
COMMANDS = ("halt", "resume", "flatten", "kill", "adopt", "reconcile")


@dataclass
class Chances:
    """How likely what is, per request, commit or message; all of it is over when the world heals."""

    lost: float = 0.0  # the request never arrives
    silent: float = 0.0  # it is carried out, and the answer never comes
    late: float = 0.0  # it arrives when its sender has long given up
    twice: float = 0.0  # a question arrives a second time
    refused: float = 0.0  # 503 before it is carried out
    failed: float = 0.0  # 503 after it was carried out
    broken: float = 0.0  # half an answer
    moved: float = 0.0  # the price is another one when an order arrives
    hung: float = 0.0  # the connection takes its time, up to seconds, before the bytes leave
    disk: float = 0.0  # a commit that says that it failed; half of these were kept
    slow: float = 0.0  # a commit that takes up to some seconds
    unacknowledged: float = 0.0  # an acknowledgement that the broker does not hear
    dropped: float = 0.0  # a stream that ends, per second

    @classmethod
    def by_lot(cls, lot):
        """A swarm: each kind of trouble is there in half of the worlds, from rare to common."""
        found = {name: lot.choice((0.0, lot.uniform(0.01, 0.25))) for name in cls.__dataclass_fields__}
        return cls(**{**found, "slow": found["slow"] * 0.3, "hung": found["hung"] * 0.5})


@dataclass
class Plan:
    """One story. Times are seconds of the world; after `seconds` all heals. kills: how each life ends, as `Life` takes it.

    events: [when, what, ...] as in `deeds.py`. messages: [when, {id, weights, ...}]. script: what happens to the first orders on the wire, before
    chance has its say. An end of a life that is {} is open: other stories branch off there (`branches.py`), and in this one the life goes on.
    after: seconds of trouble that a life has after the end of the one before, 0 = until `seconds`. hold: seconds after which a holding leaves, 0 = never.
    depth: quote money on each level of the book, 0 = without bottom. minute: of the hour at which the world begins.
    """

    seed: int
    venue: str = "gate"
    seconds: float = 60.0
    after: float = 0.0
    hold: float = 0.0
    minute: float = 0.33
    depth: int = 0
    lag_ms: int = 0
    fence_ms: int = 400
    broker_holds: int = 0  # how many messages the broker keeps for us, 0 = all
    skews: list = field(default_factory=lambda: [0.0])
    chances: dict = field(default_factory=dict)
    kills: list = field(default_factory=list)
    events: list = field(default_factory=list)
    messages: list = field(default_factory=list)
    script: list = field(default_factory=list)
    name: str = ""
    mounts: int = 1  # how many trade on the account

    @property
    def line(self):
        """What tells it again."""
        return f"python -m tests.simulation --plan '{self.text()}'"

    def text(self):
        """As JSON, without what is as ever."""
        plain = Plan(self.seed)
        return json.dumps(
            {k: v for k, v in asdict(self).items() if k == "seed" or v != getattr(plain, k)}, separators=(",", ":")
        )

    @classmethod
    def of(cls, text):
        """From JSON."""
        found = json.loads(text)
        return cls(**{one.name: found[one.name] for one in fields(cls) if one.name in found})

    @property
    def is_zombies_world(self):
        """Whether orders may show later than the venue says they do, so that a proof of absence can be wrong and must be noticed."""
        return self.lag_ms > 400

    def does(self, *kinds):
        """Whether any of these events is in it."""
        return any(what in kinds for _, what, *_ in self.events)


def drawn(seed, venue="gate"):
    """The plan of a seed."""
    lot = Random(seed)
    plan = Plan(seed, venue, minute=lot.choice((0.33, 0.33, 59.5)), depth=lot.choice((0, 0, 700)))
    plan.chances = {k: round(v, 4) for k, v in asdict(Chances.by_lot(lot)).items() if v}
    plan.skews = [lot.choice((0.0, 0.0, -2.0, 3.0)) for _ in range(3)]
    plan.lag_ms = lot.choice((0, 0, 300, 300, 300, 12_000) if lot.random() < 0.5 else (0,))
    plan.fence_ms = lot.choice((400, 400, 5_000))
    plan.kills = [_kill(lot) for _ in range(lot.choice((1, 1, 2, 3)))]
    plan.seconds = round(20.0 + 12.0 * len(plan.kills), 1)
    plan.broker_holds = lot.choice((0, 0, 0, 2))
    plan.messages = list(_messages(lot, plan.seconds))
    plan.events = sorted(_events(lot, plan.seconds))
    plan.mounts = 2 if seed % 4 == 2 else 1
    return plan


def _kill(lot):
    """At any step, while orders are under way, or in a room of the protocol; some with the power of the machine gone."""
    how = lot.random()
    if how < 0.2:
        found = {"dies_at": lot.randrange(1, 900)}
    elif how < 0.4:
        found = {"dies_busy_at": lot.randrange(1, 80)}
    else:
        room = lot.choice(
            ("intake", "submit", "submit", "submit", "resolve", "resolve", "recover", "recover", "operate")
        )
        found = {"dies_in": [room, lot.randrange(1, 40 if room in {"intake", "recover"} else 20)]}
    return {**found, "power": True} if lot.random() < 0.2 else found


def _messages(lot, seconds):
    number, at = 0, 0.0
    while at < seconds - 5.0:
        at = round(at + lot.uniform(0.0, 9.0), 3)
        number += 1
        chosen = lot.sample(ASSETS, lot.choice((1, 2)))
        said = {"id": str(number), "weights": {f"{one}/USDT": float(lot.choice((0, 20, 40))) for one in chosen}}
        odd = lot.random()
        if odd < 0.06:
            said["again"] = True  # the producer sends it twice
        elif odd < 0.10:
            said["quarrel"] = True  # the same id with other content
        elif odd < 0.13:
            said["old"] = lot.choice((40.0, 3_600.0))  # describes the past
        elif odd < 0.16:
            said["early"] = 3_600.0  # issued in the future
        elif odd < 0.20:
            said["event"] = lot.choice((60.0, 2.0))  # a moment, good for so many seconds
        elif odd < 0.23:
            said["retained"] = True  # an event that the broker kept
        elif odd < 0.26:
            said["raw"] = lot.choice(("{", "[1,2", '{"version":1}', "\x00"))
        elif odd < 0.28:
            said["weights"] = {"XYZ/USDT": 20.0}
        elif odd < 0.36:
            said["parts"] = lot.choice((2, 2, 3))
            said["lacks"] = lot.choice(("", "", "late", "never"))  # its last part
        elif odd < 0.40:
            said["kind"] = "unheard_of"
        yield [at, said]


def _events(lot, seconds):
    def at():
        return round(lot.uniform(2.0, seconds), 3)

    if lot.random() < 0.35:
        for number in range(lot.choice((1, 2, 3))):
            yield [at(), "order", lot.choice(COMMANDS), f"k{number}", lot.random() < 0.4]
    if lot.random() < 0.25:
        for _ in range(lot.choice((1, 2, 4))):
            yield [
                at(),
                "trade",
                lot.choice(("buy", "buy", "sell", "rest")),
                lot.choice(ASSETS),
                lot.choice((20, 100, 400)),
            ]
    if lot.random() < 0.2:
        yield [at(), "jump", lot.choice((3_600.0, -3_600.0, -600.0, 8.0, -8.0))]
    if lot.random() < 0.25:
        yield [at(), "pause", lot.choice((0.5, 3.0, 20.0, 90.0)), lot.choice(("", "", "twin", "other"))]
    if lot.random() < 0.06:
        yield [at(), "backup"]
    if lot.random() < 0.12:
        yield [at(), "double", lot.choice(("twin", "other"))]
    for kind, share in (("amnesia", 0.1), ("takeover", 0.1), ("reconnect", 0.2)):
        if lot.random() < share:
            yield [at(), kind]
    if lot.random() < 0.25:
        yield [at(), "outlier", lot.choice(ASSETS), lot.choice((0.001, 0.5, 2.0, 1_000.0))]
    if lot.random() < 0.25:
        yield [at(), "gap", lot.choice(ASSETS), lot.choice((0.8, 0.85, 1.2))]
    if lot.random() < 0.15:
        yield [at(), "freeze", lot.choice((5.0, 40.0))]
    if lot.random() < 0.1:
        yield [at(), "closed", lot.choice(ASSETS), lot.choice((3.0, 15.0))]
    if lot.random() < 0.1:
        yield [at(), "dark", lot.choice((8.0, 75.0))]
