"""What goes wrong on purpose: a script of rules, each for the requests it names, drawn from one seeded source.

- {on: POST /spot/orders, do: lost_reply, nth: 3}
- {on: GET /spot/my_trades, do: status_before, status: 503, chance: 0.1}
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from random import Random

from trader.loopback.wire import Request

KINDS = {
    "lost_request": "the request never arrives; the caller waits until its time is over",
    "lost_reply": "the request is carried out, the answer never comes",
    "late": "the request arrives `seconds` later, also when the caller has given up",
    "slow": "the answer comes `seconds` later",
    "status_before": "an answer with `status` instead of carrying it out",
    "status_after": "an answer with `status` after carrying it out",
    "truncated": "the answer's body is cut in the middle, with its status",
    "empty": "the answer's body is empty, with its status",
    "html": "a page of a proxy with `status` instead of the answer, after carrying it out",
    "reset_before": "the connection is reset instead of carrying it out",
    "silent": "a stream that answers and tells no news",
    "cut": "a stream that is closed after `seconds`",
    "reset_after": "the connection is reset after carrying it out",
}


@dataclass(slots=True)
class Fault:
    """One rule. `on` is a method and the end of a path (`*` = any method); `nth` counts its requests from 1."""

    on: str
    do: str
    nth: int = 0
    every: int = 0
    chance: float = 0.0
    seconds: float = 30.0
    status: int = 503
    code: str = "SERVER_ERROR"
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.do not in KINDS:
            raise ValueError(f"fault do = {self.do!r} is none of {', '.join(KINDS)}")
        if len(self.on.split()) != 2:
            raise ValueError(f"fault on = {self.on!r} must be a method and a path, such as 'POST /spot/orders'")

    def meets(self, request: Request) -> bool:
        """Whether the rule is about this request."""
        method, path = self.on.split()
        return method in {"*", request.method} and request.path.endswith(path)


class Faults:
    """A script at work: counts requests and says what goes wrong with each."""

    def __init__(self, rules: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self.rules = list(rules)
        self._lot = Random(seed)  # noqa: S311 - a rehearsal wants the same draws again
        self.done: list[tuple[str, str]] = []

    @classmethod
    def read(cls, rows: Iterable[dict[str, object]], *, seed: int = 0) -> "Faults":
        """A script from plain rows, as YAML gives them; raises ValueError that names what is wrong."""
        known = {one.name for one in fields(Fault) if one.init}
        rules = []
        for row in rows:
            strange = set(row) - known
            if strange:
                raise ValueError(f"a fault knows no {', '.join(sorted(strange))}; it knows {', '.join(sorted(known))}")
            rules.append(Fault(**row))  # type: ignore[arg-type]  # the fields say themselves what they cannot be
        return cls(rules, seed=seed)

    def take(self, request: Request) -> Fault | None:
        """What goes wrong with this request; None for nothing."""
        chosen = None
        for rule in self.rules:
            if not rule.meets(request):
                continue
            rule.seen += 1
            is_hit = (
                rule.seen == rule.nth
                or (rule.every and rule.seen % rule.every == 0)
                or (rule.chance and self._lot.random() < rule.chance)
                or not (rule.nth or rule.every or rule.chance)
            )
            if is_hit and chosen is None:
                chosen = rule
        if chosen is not None:
            self.done.append((chosen.do, f"{request.method} {request.path}"))
        return chosen
