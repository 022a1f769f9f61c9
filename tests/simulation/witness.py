"""The witness: sees every commit, every order on the wire and every acknowledgement, and knows at once when one of them may not be.

It shares no code with the bot: what it needs to know of orders, latches and epochs it counts itself. What must be met is counted here too.
"""

import json
from decimal import Decimal
from urllib.parse import parse_qs

from tests.simulation import reached
from trader.core.facts import (
    AttemptEnded,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    Resumed,
)
from trader.core.records import BaselineSet, CommandTaken, SignalReceived, StateChanged

LATCHES, FORBID_BUYS = {"halted", "killed"}, {"halted", "killed", "reducing", "recovering"}
OPEN, ENDED = "open", "ended"
TERMINAL = {"closed"}


class Witness:
    """What is durable, as the world saw it. `blame` is told what may not be."""

    def __init__(self, world):
        self._world, self.facts, self.seq, self.epoch = world, [], 0, 0
        self.sends = {}  # client id -> when it left
        self.pending = None  # facts of a commit within which the power failed
        self._begin()

    def _begin(self):
        self.sending, self.placed, self.states, self.attempts = {}, {}, {}, {}
        self.receipts, self.commands, self.trades = set(), set(), set()
        self.state, self.latched = (
            {"": "recovering"},
            set(),
        )  # of each mount, by name; of one that was not told, that of all
        self.held = {}  # of a mount and an asset
        self.memo = {}  # for reached.py

    # What is told

    def opened(self, seq):
        """A journal was opened: what was acknowledged must be there, and of the commit that was cut all or nothing."""
        if self.pending is not None:
            facts, epoch, life = self.pending
            self.pending = None
            if seq == self.seq + len(facts):
                self._world.reach("a torn commit kept")
                self.kept(facts, epoch, life)
            else:
                self._world.reach("a torn commit lost")
        if seq != self.seq:
            self._world.blame(f"the journal has {seq} facts, {self.seq} were kept")

    def taken(self, epoch, seq):
        """The lease was taken."""
        if epoch <= self.epoch:
            self._world.blame(f"epoch {epoch} came after {self.epoch}")
        self.epoch, self.seq, self.state = epoch, seq, {"": "recovering"}

    def restored(self, count, seq):
        """The journal is an older copy: what came later is not known to it."""
        lost = self.facts[count:]
        facts, self.facts = self.facts[:count], []
        self._begin()
        for fact in facts:
            self._learn(fact, None, is_new=False)
        self.facts, self.seq, self.epoch = facts, seq, 0
        return lost

    def kept(self, facts, epoch, life):
        """A commit is durable."""
        if epoch != self.epoch:
            self._world.blame(f"epoch {epoch} wrote after {self.epoch} was taken: {type(facts[0]).__name__}")
        self.seq += len(facts)
        for fact in facts:
            self._learn(fact, life, is_new=True)
        self.facts += facts
        self._world.trace(*[repr(fact) for fact in facts])

    def acknowledged(self, key):
        """A message is ours from now on."""
        if not self._world.names_of(key) & self.receipts:
            self._world.blame(f"{key} was acknowledged before it was kept")

    def sent(self, request, at_ms):
        """An order's bytes leave."""
        said = json.loads(request.body) if request.path.endswith("/spot/orders") else {}
        if not said:
            found = parse_qs(request.query or request.body)
            said = {"text": found["newClientOrderId"][0], "amount": found["quantity"][0], "price": found["price"][0]}
        name = said["text"]
        self._world.trace("send", name, at_ms)
        written = self.sending.get(name)
        if written is None:
            self._world.blame(f"{name} left before it was written")
            return
        if name in self.sends and name not in self._world.lost_orders:  # of which a restored backup does not know
            self._world.blame(f"{name} left twice")
        if (Decimal(said["amount"]), Decimal(said["price"])) != (Decimal(written.quantity), Decimal(written.limit)):
            self._world.blame(f"{name} is not what was written: {said}")
        self.sends[name] = at_ms

    # What follows

    def _learn(self, fact, life, *, is_new):
        if is_new:
            reached.note(self._world, self, fact, life)
        match fact:
            case SignalReceived(key=key):
                self.receipts.add(key)
            case CommandTaken(key=key):
                if key in self.commands and is_new:
                    self._world.blame(f"command {key} was carried out twice")
                self.commands.add(key)
            case StateChanged():
                self._changed(fact, is_new=is_new)
            case Resumed(mount=mount):
                self.latched.discard(mount)
            case BaselineSet(why="adopted") if is_new:
                moving = [name for name, one in self.states.items() if one in {"sending", "accepted"}]
                if moving:
                    self._world.blame(f"the account was adopted while orders {moving} may have moved it")
            case OrderPlaced():
                self.placed[fact.mount, fact.order], self.states[fact.mount, fact.order] = fact, "placed"
            case Filled(order=int()):
                self._filled(fact)
            case OrderSending():
                if is_new:
                    self._may_send(fact)
                self.sending[fact.client_id] = fact
                name = fact.mount, fact.order
                self.states[name], self.attempts[name] = "sending", fact.attempt
            case OrderAccepted() | OrderUnknown() | OrderAbsent() | OrderStuck() | AttemptEnded() | OrderClosed():
                before, now = self.states[fact.mount, fact.order], type(fact).__name__
                if before in TERMINAL:
                    self._world.blame(f"order {fact.order} of {fact.mount} was closed and is {now}")
                names = {
                    "OrderAccepted": "accepted",
                    "OrderUnknown": "unknown",
                    "OrderAbsent": "absent",
                    "OrderStuck": "stuck",
                }
                self.states[fact.mount, fact.order] = names.get(now, "closed" if now == "OrderClosed" else "placed")
            case _:
                pass

    def _state(self, mount):
        return self.state.get(mount, self.state[""])

    def _changed(self, fact, *, is_new):
        """The state of a mount, or of all."""
        for mount in self._world.mounts if not fact.scope else [fact.scope]:
            if mount in self.latched and fact.state in {"active", "reducing"} and is_new:
                self._world.blame(f"{mount} is {fact.state} although it was halted and nobody resumed it")
            if (
                self._state(mount) == "killed"
                and fact.state == "halted"
                and is_new
                and fact.why not in {"flatten", "operator"}
            ):
                self._world.blame(f"killed became halted: {fact.why}")
            self.state[mount] = fact.state
            if fact.state in LATCHES:
                self.latched.add(mount)

    def _may_send(self, fact):
        name = fact.mount, fact.order
        placed, before, state = self.placed[name], self.states[name], self._state(fact.mount)
        if fact.client_id in self.sending:
            self._world.blame(f"{fact.client_id} was written twice")
        if before not in {"placed", "absent"}:
            self._world.blame(f"order {name} is sent again while it is {before}")
        if fact.attempt != self.attempts.get(name, 0) + 1:
            self._world.blame(f"order {name}: attempt {fact.attempt} after {self.attempts.get(name, 0)}")
        others = [
            one
            for one, its in self.states.items()
            if one != name and one[0] == fact.mount and its in {"sending", "unknown", "stuck", "accepted"}
        ]
        if placed.side == "buy" and any(self.placed[one].asset == placed.asset for one in others):
            self._world.blame(f"order {name} buys {placed.asset} while another order of it is open")
        if placed.side == "buy" and (fact.mount in self.latched or state in FORBID_BUYS):
            self._world.blame(f"order {name} buys although the state is {state}")
        if state in {"recovering", "killed"}:
            self._world.blame(f"order {name} is sent although the state is {state}")
        held = self.held.get((fact.mount, placed.asset), Decimal(0))
        if placed.side == "sell" and Decimal(fact.quantity) > held:
            self._world.blame(f"order {name} sells {fact.quantity}, {held} is the mount's")

    def _filled(self, fact):
        if fact.trade in self.trades:
            self._world.blame(f"trade {fact.trade} was booked twice")
        self.trades.add(fact.trade)
        sign = 1 if fact.side == "buy" else -1
        fee = Decimal(fact.fee) if fact.fee_asset == fact.asset else Decimal(0)
        name = fact.mount, fact.asset
        self.held[name] = self.held.get(name, Decimal(0)) + sign * Decimal(fact.quantity) - fee
