"""What a proof must have met: states of the bot and of its world, by name, counted as facts are kept. One that is never met fails the proof,
because a simulator that does not come there proves nothing about it.
"""

from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    ExitHit,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderCut,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    Refused,
    ZombieSeen,
)
from trader.core.records import (
    BaselineSet,
    BatchClosed,
    DiscrepancySeen,
    ForeignSeen,
    LinkChanged,
    SignalClosed,
    SignalReceived,
    StateChanged,
)

AT_THE_DOOR = (
    "duplicate",
    "conflict",
    "future",
    "stale",
    "out_of_order",
    "retained",
    "expired",
    "malformed",
    "unknown_asset",
    "late",
)
MUST_MEET = (
    # Orders
    "order taken", "order refused by the venue", "a late order stopped by its fence",
    "an order taken after its sender died", "the answer to an order lost", "unknown", "unknown, then found", "unknown, then absent",
    "absent, then a second attempt", "given up: absent", "given up: expired", "given up: account_cash", "unknown after a restart", "not sent: writing took too long",
    "filled in part, then sent again", "a buy refused", "a sale refused and tried again", "a fill after a restart", "an exit hit",
    "an order of a stop sent", "a zombie seen", "a decision waits for an order under way", "closed while it was priced",
    # Ends of lives
    "ended in: intake", "ended in: submit", "ended in: resolve", "ended in: recover", "ended in: operate", "ended within recovery",
    "ended after SENDING, before the bytes", "ended after the bytes, before the answer", "ended right after SENDING was kept",
    "ended before the answer was kept", "ended before fills were booked", "ended between commit and acknowledgement",
    "a torn commit kept", "a torn commit lost", "a start from a snapshot", "an old backup restored",
    # Two lives, clocks
    "a second start refused", "a process that lost its lease ends", "a paused life goes on", "a pause while an order is under way",
    "two lives, one of them paused", "a lease taken over after its end", "the clock jumps ahead", "the clock jumps back",
    # The disk
    "a commit of OrderSending kept and denied", "a commit of OrderAccepted kept and denied", "a commit of SignalReceived kept and denied",
    "a commit of Filled kept and denied",
    # Messages and the broker
    *(f"at the door: {one}" for one in AT_THE_DOOR), "a batch whole", "a batch in part", "a message delivered again",
    "the broker forgets what it held", "the broker's queue overflows", "somebody else has our name at the broker",
    "ended: traded", "ended: no_change", "ended: unwanted",
    # Operators, a person on the account, states
    *(f"command {one}" for one in ("halt", "resume", "flatten", "kill", "adopt", "reconcile")), "a command repeated",
    "halted outlasts a restart", "flat again and again", "state: reducing", "state: recovering", "state: killed", "a halt while an order is under way",
    "a stranger's order seen", "a stranger's order open", "our own order unknown (amnesia)", "a discrepancy seen", "a discrepancy adopted",
    "a person trades while an order of ours is under way",
    # Prices
    "a price far off", "a gap of the price", "prices stand still", "a bar closed", "a market closed", "a start without an asset whose market is closed",
    "the exchange out of reach",
)  # fmt: skip


def note(world, witness, fact, life):
    """Count what a fact that was just kept means; it is not learnt yet."""
    memo, reach = witness.memo, world.reach
    match fact:
        case OrderUnknown(order=number, why=why):
            reach("unknown")
            if "that sent it ended" in why:
                reach("unknown after a restart")
            if "took too long" in why:
                reach("not sent: writing took too long")
        case OrderAccepted(order=number):
            if witness.states.get((fact.mount, number)) in {"unknown", "stuck"}:
                reach("unknown, then found")
            memo[number] = life
        case OrderAbsent(order=number):
            reach("unknown, then absent")
        case OrderStuck():
            reach("stuck")
        case OrderSending(order=number, attempt=attempt):
            if witness.states.get((fact.mount, number)) == "absent":
                reach("absent, then a second attempt")
            if attempt > 1 and memo.get("part", 0) == number:
                reach("filled in part, then sent again")
            if witness.placed[fact.mount, number].why.startswith("exit"):
                reach("an order of a stop sent")
        case AttemptEnded(order=number, filled=filled, why=why):
            if why.startswith("refused"):
                reach("a sale refused and tried again")
            elif filled:
                memo["part"] = number
        case OrderClosed(order=number, reason=reason):
            if reason in {"absent", "expired", "account_cash"}:
                reach(f"given up: {reason}")
            if reason.startswith("refused") and witness.placed[fact.mount, number].side == "buy":
                reach("a buy refused")
            if reason == "replaced":
                reach("closed while it was priced")
        case OrderCut():
            reach("an order cut for want of cash")
        case Filled(order=number):
            if memo.get(number) is not None and memo[number] is not life:
                reach("a fill after a restart")
        case ExitHit():
            reach("an exit hit")
        case ZombieSeen():
            reach("a zombie seen")
        case Refused(rule="in_flight"):
            reach("a decision waits for an order under way")
        case BarClosed():
            reach("a bar closed")
        case _:
            _of_the_house(world, witness, fact)


def _of_the_house(world, witness, fact):
    reach = world.reach
    match fact:
        case SignalReceived(outcome=outcome) if outcome:
            reach(f"at the door: {outcome}")
        case SignalClosed(outcome=outcome):
            reach(f"ended: {outcome}")
        case BatchClosed(seen=seen, count=count):
            reach("a batch whole" if seen >= count else "a batch in part")
        case StateChanged(state=state, why=why):
            reach(f"state: {state}")
            if why == "as before":
                reach("halted outlasts a restart")
            if state in {"halted", "killed"} and any(
                one in {"sending", "unknown", "accepted"} for one in witness.states.values()
            ):
                reach("a halt while an order is under way")
        case ForeignSeen(kind=kind):
            reach("our own order unknown (amnesia)" if kind == "ours" else "a stranger's order seen")
            if kind == "open":
                reach("a stranger's order open")
        case DiscrepancySeen(expected=expected, seen=seen) if expected != seen:
            reach("a discrepancy seen")
        case BaselineSet(why="adopted"):
            reach("a discrepancy adopted")
        case LinkChanged(link=link, is_up=is_up):
            reach(f"link {link} {'up' if is_up else 'down'}")
        case _:
            if type(fact).__name__ == "CommandTaken" and fact.argument == "again":
                reach("flat again and again")


def missing(met):
    """What was never met."""
    return [one for one in MUST_MEET if not met.get(one)]
