"""The law of the deterministic path: what the simulation runs may ask no clock, no chance, no thread and no order of hashes by itself.

Time comes from the port `Clock` or from a callable that is handed in; whatever else varies between two runs of one seed is banned. An
exception carries `# sim-ok: reason` on its line.
"""

import ast

PATH = (
    "trader/core/*", "trader/runtime/*", "trader/ports.py", "trader/adapters/ccxt_venue.py", "trader/adapters/ccxt_streams.py",
    "trader/adapters/ccxt_transport.py", "trader/adapters/gate.py", "trader/adapters/mexc.py", "trader/adapters/payloads.py",
    "trader/adapters/venue_codes.py", "trader/adapters/fact_codec.py", "trader/adapters/journal_sqlite.py", "trader/adapters/journal_chain.py",
    "trader/adapters/journal_models.py", "trader/loopback/exchange.py", "trader/loopback/walk.py", "trader/loopback/gate.py",
    "trader/loopback/mexc.py", "trader/loopback/gate_stream.py", "trader/loopback/mexc_stream.py", "trader/loopback/news.py",
)  # fmt: skip
NOT_SIMULATED = (
    "trader/runtime/control.py",
    "trader/runtime/logs.py",
    "trader/runtime/stories.py",
)  # a socket, a terminal, a reader
BANNED = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep", "localtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "uuid": {"uuid1", "uuid4"},
    "random": None,
    "secrets": None,
    "threading": None,
    "concurrent": None,
    "multiprocessing": None,
    "asyncio": {"to_thread", "as_completed", "all_tasks", "open_connection", "start_server", "run"},
    "os": {"environ", "getenv", "urandom", "getpid"},
    "socket": None,
}
CALLS = {"id", "hash", "run_in_executor", "getaddrinfo"}
ORDERED = {"sorted", "len", "sum", "min", "max", "any", "all", "set", "frozenset"}


def varying(tree):
    """`file:line: what` for everything that may differ between two runs of one seed. tree: file -> source."""
    found = []
    for name, source in sorted(tree.items()):
        lines = source.splitlines()
        for node, what in _of(ast.parse(source)):
            if "# sim-ok: " not in lines[node.lineno - 1]:
                found.append(f"{name}:{node.lineno}: {what}")
    return found


def _of(module):
    innocent = {
        id(one)
        for one in ast.walk(module)
        if isinstance(one, ast.Call) and _name(one.func) in ORDERED
        for one in one.args
    }
    sets = _sets(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in BANNED:
            banned = BANNED[node.value.id]
            if node.attr[:1].islower() if banned is None else node.attr in banned:
                yield node, f"{node.value.id}.{node.attr}"
        if isinstance(node, ast.Call) and _name(node.func) in CALLS:
            yield node, f"{_name(node.func)}()"
        if isinstance(node, ast.For | ast.AsyncFor) and _is_set(node.iter, sets):
            yield node.iter, "goes through a set"
        if isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) and id(node) not in innocent:
            for one in node.generators:
                if _is_set(one.iter, sets):
                    yield one.iter, "goes through a set"
        if (
            isinstance(node, ast.Call)
            and _name(node.func) in {"list", "tuple", "enumerate", "iter", "next"}
            and node.args
            and _is_set(node.args[0], sets)
        ):
            yield node, "takes the order of a set"


def _name(function):
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _sets(module):
    """Names and attributes that are said to be sets, or are made as one."""
    found = set()
    fields = {
        id(one): node.name.lower() for node in ast.walk(module) if isinstance(node, ast.ClassDef) for one in node.body
    }
    for node in ast.walk(module):
        target, value, said = None, None, ""
        if isinstance(node, ast.AnnAssign):
            target, value, said = node.target, node.value, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        if target is not None and (
            said.startswith(("set[", "frozenset[")) or (value is not None and _is_set(value, found))
        ):
            owners = ("self", fields[id(node)]) if id(node) in fields else ()
            found |= {f"{one}.{ast.unparse(target)}" for one in owners} or {ast.unparse(target)}
    return found


def _is_set(node, names):
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return _name(node.func) in {"set", "frozenset"} or (
            _name(node.func) in {"union", "intersection", "difference"} and _is_set(node.func.value, names)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, names) or _is_set(node.right, names)
    return isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in names
