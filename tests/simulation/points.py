"""The await points of the bot: where each of its steps goes on, by name.

A name is taken from the source, so that it outlives changes of lines: `outbox.send: venue.send / answered` is the await of `venue.send`
in `Outbox.send`, while the answer is waited for. What stands behind the stroke is the part of a commit or of a request; a second await of
the same text in a function has `#2`. `known()` reads all of them from the source of the rooms whose protocol is to be proven.
"""

import ast
import asyncio
from functools import cache
from pathlib import Path

import trader

HOME = Path(trader.__file__).parent
HERE = Path(__file__).parent
PLUMBING = (
    "keeper.",
    "outbox._keep",
    "telling.write",
    "supervise.",
    "ccxt_venue.",
    "ccxt_transport.",
    "gate.",
    "mexc.",
    "journal_sqlite.",
)
PHASES = ("disk.", "wire.", "keeper.", "broker.acknowledge", "bot.sleep")
PROVEN = (
    "runtime/outbox.py", "runtime/desk.py", "runtime/inbox.py", "runtime/reconcile.py", "runtime/recovery.py", "runtime/daemon.py",
    "runtime/till.py", "runtime/telling.py", "runtime/house.py",
)  # fmt: skip
ROOMS = {
    "intake": ("daemon._take", "daemon._hear", "daemon._events", "daemon._next", "daemon._one", "daemon._handle", "daemon._glance",
               "daemon._timers", "inbox.", "telling.", "desk.tell", "desk.teach", "desk.glance", "house.tell", "house.teach", "house.glance", "broker."),
    "submit": ("outbox.send", "outbox.give_up", "outbox.cut", "desk._send", "desk._there", "desk._step", "desk.step", "desk.work", "till._carry_out"),
    "resolve": ("outbox.resolve", "outbox._look", "outbox.settle", "outbox.book", "desk._settle"),
    "recover": ("recovery.", "outbox.recover", "reconcile.", "furnishing.start", "bot.live", "bot.supervised", "till.reconcile"),
    "operate": ("daemon.act", "daemon._command", "daemon._carry_out", "daemon._adopt", "house.flatten", "desk.flatten", "desk.cancel",
                "desk.change", "desk.pursue_flat", "till._judge"),
    "keep": ("daemon.", "till.", "account.", "market.", "snapshots."),
}  # fmt: skip
WANTED = ("intake", "submit", "resolve", "recover")  # the rooms of which every await point is to see ends of lives
STILL = {  # await points of these rooms at which no life can be here, and why
    "daemon._next: in asyncio.timeout": "to begin a timeout does not wait",
    "daemon._hear: line.put": "it waits behind a thousand things only",
    "daemon._take: line.put": "it waits behind a thousand things only",
    "outbox.send: venue.signing_ms": "it waits where the venue's clock was not read for a minute, and each comparison reads it",
    "reconcile._judge: venue.cancel": "the exchange leaves no order open that is immediate or cancelled",
}
OF_THE_LOOP = ("loop", ())
SEEN, KEPT = {}, []  # (code, instruction) of each frame of a task -> its point


@cache
def room_of(point):
    """In which room of the protocol a point lies; `streams` for what ccxt does with its sockets."""
    return next((room for room, begins in ROOMS.items() if point.startswith(begins)), "streams")


def point_of(callback):
    """The name of the await from which a callback goes on, and the names of all the awaits above it that are ours."""
    task = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return OF_THE_LOOP
    place, coroutine = [], task.get_coro()
    while coroutine is not None:
        try:
            frame = coroutine.cr_frame
        except AttributeError:
            break
        if frame is None:
            break
        place += (id(frame.f_code), frame.f_lasti)  # a code's own hash is made anew each time, from all that is in it
        coroutine = coroutine.cr_await
    key = tuple(place)
    found = SEEN.get(key)
    return found if found is not None else SEEN.setdefault(key, _looked_up(task))


def _looked_up(task):
    frames, coroutine = [], task.get_coro()
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        KEPT.append(frame.f_code)  # so that no other one gets its id
        name = _name(frame.f_code, frame.f_lasti)
        if name is not None:
            frames.append(name)
        coroutine = coroutine.cr_await
    return _whole(tuple(frames)), tuple(frames)


@cache
def _whole(frames):
    """The deepest await that says something, and behind a stroke which part of it."""
    where = next((one for one in reversed(frames) if not one.startswith((*PLUMBING, *PHASES))), "")
    phases = [one for one in frames if one.startswith(PHASES)]
    if not where:
        return phases[0] if phases else frames[0] if frames else "elsewhere"
    if not phases:
        return where
    name, _, text = phases[-1].partition(": ")
    function = name.partition(".")[2]
    return f"{where} / {function.strip('_') if function.startswith('_') else text}"


@cache
def _name(code, lasti):
    """The name of an await in a function of ours, None in anybody else's."""
    path = Path(code.co_filename)
    if HOME not in path.parents and HERE not in path.parents:
        return None
    if HERE in path.parents and path.stem not in {"bot", "disk", "wire", "broker"}:
        return None
    where = f"{path.stem}.{code.co_name}"
    if lasti < 0:
        return f"{where}: begins"
    places = list(code.co_positions())
    line, _, column, _ = places[min(lasti // 2, len(places) - 1)]
    texts = _texts(path)
    return f"{where}: {texts.get((line, column), 'begins' if line == code.co_firstlineno else f'line {line}')}"


@cache
def _texts(path):
    """(line, column) -> the text of the await there."""
    return {place: text for _, place, text in _awaits(path)}


@cache
def _awaits(path):
    """(function, place, text) of every await of a file; for `async with` and `async for`, of what is entered or gone through."""
    found = []
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.AsyncFunctionDef):
            seen = {}
            for node in sorted(_of_function(function), key=lambda one: (one.lineno, one.col_offset)):
                places = _said(node)
                text = places[0][1]
                seen[text] = seen.get(text, 0) + 1
                text = text if seen[text] == 1 else f"{text} #{seen[text]}"
                found += [(function.name, place, text) for place, _ in places]
    return found


def _of_function(function):
    """The awaits of a function, not those of functions within it."""
    rest = list(function.body)
    while rest:
        node = rest.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor):
            yield node
        rest += ast.iter_child_nodes(node)


def _said(node):
    """(place, text); the compiler gives what is entered or gone through the place of the statement or of the expression."""
    if isinstance(node, ast.Await):
        return [((node.lineno, node.col_offset), _plain(node.value))]
    inner = [node.iter] if isinstance(node, ast.AsyncFor) else [one.context_expr for one in node.items]
    text = f"each of {_plain(inner[0])}" if isinstance(node, ast.AsyncFor) else f"in {_plain(inner[0])}"
    return [((node.lineno, node.col_offset), text), ((inner[0].lineno, inner[0].col_offset), text)]


def _plain(value):
    """`self._venue.send(signed)` is `venue.send`, `self._keep(self._of(track, OrderUnknown, ...))` is `keep OrderUnknown`."""
    if not isinstance(value, ast.Call):
        return ast.unparse(value).removeprefix("self.").lstrip("_")
    name = ".".join(word.lstrip("_") for word in ast.unparse(value.func).removeprefix("self.").split("."))
    if name not in {
        "keep",
        "keeper.keep",
        "desk.keeper.keep",
        "house.keeper.keep",
        "desk.change",
        "write",
        "keeper.write",
    }:
        return name
    inner = [one for argument in value.args for one in ast.walk(argument)]
    names = [one.id for one in inner if isinstance(one, ast.Name) and one.id[:1].isupper()]
    calls = [ast.unparse(one.func).rpartition(".")[2].lstrip("_") for one in inner if isinstance(one, ast.Call)]
    return f"{name} {(names or calls or [ast.unparse(value.args[0])])[0]}"


def known():
    """The names of all await points of the rooms that are proven."""
    found = {f"{Path(one).stem}.{name}: {text}" for one in PROVEN for name, _, text in _awaits(HOME / one)}
    return sorted(one for one in found if not one.startswith(PLUMBING))


def wanted():
    """The names of those at which lives are to end."""
    return [one for one in known() if room_of(one) in WANTED and one not in STILL]
