"""The laws of the house as functions over `{path: source}`; each returns the places where it is broken.

Paths are relative to the project and use `/`. The tests feed the real tree, and trees with a planted violation: a law
that cannot fail holds nothing.
"""

# long: two tables, of floors and of outside packages, and the laws that read them

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import lru_cache
from typing import TypeGuard

Sources = Mapping[str, str]

# Floors from the ground up. What stands on one line is one floor: its rooms do not import each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("trader.core",),
    ("trader.ports",),
    ("trader",),  # the face for those who write strategies: `trader/__init__.py` alone
    ("strategies",),
    ("trader.yaml_source", "trader.setting_values"),
    ("trader.setting_types",),
    ("trader.sweep_settings", "trader.api_settings", "trader.notify_settings", "trader.run_parts"),
    ("trader.settings",),
    ("trader.vendor_settings",),
    (
        "backtests",
        "trader.adapters",
        "trader.runtime",
        "trader.api",
        "trader.loopback",
        "trader.notify",
        "trader.run_settings",
    ),
    ("trader.several_settings",),
    (
        "trader.app",
        "trader.asset_map",
        "trader.beginning",
        "trader.bundled",
        "trader.cli",
        "trader.cli_api",
        "trader.cli_assets",
        "trader.cli_backtest",
        "trader.cli_config",
        "trader.cli_data",
        "trader.cli_doctor",
        "trader.cli_incident",
        "trader.cli_facts",
        "trader.cli_journal",
        "trader.cli_metrics",
        "trader.cli_mcp",
        "trader.cli_notify",
        "trader.cli_ratings",
        "trader.cli_run",
        "trader.cli_shared",
        "trader.cli_signals",
        "trader.cli_sweep",
        "trader.cli_versions",
        "trader.configurations",
        "trader.demo",
        "trader.demo_vendor",
        "trader.doctor",
        "trader.doctor_feeds",
        "trader.doctor_house",
        "trader.doctor_venue",
        "trader.finding",
        "trader.furnishing",
        "trader.incident",
        "trader.intake",
        "trader.key_binding",
        "trader.lockstep",
        "trader.mcp_server",
        "trader.notifying",
        "trader.notify_commands",
        "trader.notify_loop",
        "trader.notify_place",
        "trader.opening",
        "trader.origins",
        "trader.output",
        "trader.ratings",
        "trader.reconfiguring",
        "trader.rehearsal",
        "trader.serving",
        "trader.show",
        "trader.version",
    ),
)
TOP_ROOMS = FLOORS[-1]  # `app` and `cli` hand the rooms below to each other; these import each other, but in no circle

# Outside packages: where each may be imported, and why there.
OUTSIDE: dict[str, tuple[tuple[str, ...], str]] = {
    "numpy": (("trader/core/*", "strategies/*", "backtests/*"), "columns of bars and ratings"),
    "pandas": (
        ("backtests/*", "trader/demo.py", "trader/demo_vendor.py"),
        "frames at the notebook face; costs 0.4 s of import, so never below it",
    ),
    "pyarrow": (("backtests/*",), "reading Parquet"),
    "plotly": (("backtests/*",), "plots of the notebook and the report"),
    "numba": (("backtests/machine_code.py",), "the kernel of a compiled stretch as machine code; an extra"),
    "optuna": (("backtests/optimise.py",), "proposals for a sweep; an extra"),
    "distributed": (("backtests/cluster.py",), "a sweep on other machines; an extra"),
    "pydantic": (
        (
            "trader/settings.py",
            "trader/setting_types.py",
            "trader/sweep_settings.py",
            "trader/api_settings.py",
            "trader/notify_settings.py",
            "trader/run_parts.py",
            "trader/run_settings.py",
            "trader/several_settings.py",
            "trader/vendor_settings.py",
            "trader/adapters/payloads.py",
            "trader/api/*",
        ),
        "parsing at the border",
    ),
    "pydantic_core": (
        ("trader/settings.py", "trader/vendor_settings.py"),
        "the errors of pydantic, to say them with file and line, and a schema of two forms",
    ),
    "pydantic_settings": (
        ("trader/settings.py", "trader/run_settings.py", "trader/several_settings.py", "trader/vendor_settings.py"),
        "environment and files, read in one place",
    ),
    "ruamel": (("trader/yaml_source.py",), "YAML with line numbers, read in one place"),
    "msgspec": (("trader/adapters/*",), "the wire and the journal as JSON"),
    "sqlmodel": (
        ("trader/adapters/journal_*", "trader/adapters/ratings_store.py"),
        "the tables of journal and ratings",
    ),
    "sqlalchemy": (
        ("trader/adapters/journal_*", "trader/adapters/migrations/*", "trader/adapters/ratings_store.py"),
        "column types, and the engine below sqlmodel",
    ),
    "alembic": (("trader/adapters/journal_*", "trader/adapters/migrations/*"), "migrations of the journal"),
    "aiosqlite": (("trader/adapters/journal_*",), "the append path on SQLite"),
    "asyncpg": (("trader/adapters/journal_*",), "the append path on PostgreSQL"),
    "aiomqtt": (("trader/adapters/mqtt.py",), "MQTT, acknowledged by hand after the commit"),
    "paho": (("trader/adapters/mqtt.py",), "what aiomqtt stands on: manual acknowledgement"),
    "ccxt": (
        (
            "trader/adapters/ccxt_transport.py",
            "trader/adapters/ccxt_venue.py",
            "trader/adapters/ccxt_streams.py",
            "trader/adapters/gate.py",
            "trader/adapters/mexc.py",
            "trader/loopback/mexc_stream.py",
        ),
        "exchanges; 0.4 s and 75 MB of import, so never elsewhere",
    ),
    "aiohttp": (
        (
            "trader/loopback/server.py",
            "trader/adapters/http.py",
            "trader/adapters/ccxt_streams.py",
            "trader/adapters/tokenmetrics_prices.py",
        ),
        "the loopback's thin shell, the transport of all adapters, and its frames, which streams read",
    ),
    "apprise": (("trader/adapters/apprise_sender.py",), "letters outward to whatever service; an extra"),
    "pyotp": (("trader/adapters/one_time.py",), "one-time codes of an authenticator; an extra"),
    "yarl": (("trader/adapters/http.py",), "aiohttp's addresses: what is signed must not be quoted again"),
    "opentelemetry": (("trader/adapters/otlp.py",), "traces to a collector; an extra"),
    "prometheus_client": (("trader/api/metrics.py",), "the text format that Prometheus reads"),
    "mcp": (("trader/mcp_server.py",), "the Model Context Protocol over standard input; an extra, 1.5 s of import"),
    "structlog": (("trader/runtime/logs.py", "trader/cli.py"), "one line per fact, set up in one place"),
    "fastapi": (("trader/api/*",), "the control API"),
    "starlette": (("trader/api/*",), "what fastapi stands on: its exceptions"),
    "uvicorn": (("trader/serving.py",), "serves the control API"),
    "typer": (("trader/cli*.py",), "the command line"),
    "rich": (("trader/cli*.py", "trader/show.py"), "tables and progress on a terminal"),
}

IMPURE_MODULES = frozenset(
    """os sys io time random secrets uuid asyncio logging socket pathlib threading multiprocessing concurrent subprocess
    sqlite3 selectors select ssl signal urllib http tempfile shutil glob platform getpass locale warnings queue sched
    importlib pickle shelve atexit gc ctypes mmap fcntl""".split()  # noqa: SIM905 - forty quoted names read worse
)
IMPURE_CALLS = frozenset({"open", "print", "input", "eval", "exec", "breakpoint", "__import__"})
CLOCKS = frozenset({"now", "utcnow", "today"})

MODE_FLAGS = re.compile(
    r"(is|in|if)_(live|paper|backtest|backtesting|replay|sim|simulation|dry_run)"
    r"|(run|trading|execution|live|paper|backtest)_?mode|dry_run"
)

# Where a broad `except` may stand, how many, and why.
BROAD: dict[str, tuple[int, str]] = {
    "trader/core/engine.py": (1, "the one call of decide: user code is the world's, its exception becomes a fact"),
    "trader/runtime/supervise.py": (3, "a task that dies takes the group down and is restarted into recovery"),
    "trader/cli.py": (
        1,
        "the outermost frame: our own mistake ends the process with exit code 5 and without a traceback",
    ),
    "strategies/loading.py": (1, "a user's file is run to load it: user code as well, chained into the load error"),
}
FUNCTION_LINES, MATCH_LINES, FILE_LINES = 60, 80, 400
LONG = re.compile(r"#\s*long:\s*\S+")


@lru_cache(maxsize=1024)
def parsed(source: str) -> ast.Module:
    """Parse once: each law walks the same trees."""
    return ast.parse(source)


def module_of(path: str) -> str:
    """Say how the file at `path` is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str, source: str, known: frozenset[str] = frozenset()) -> Iterator[tuple[str, int]]:
    """Yield each imported module with its line, wherever the import stands; names that are modules count as modules."""
    package = module_of(path) if path.endswith("/__init__.py") else module_of(path).rpartition(".")[0]
    for node in ast.walk(parsed(source)):
        match node:
            case ast.Import(names=names):
                yield from ((name.name, node.lineno) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parts = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*parts, *([module] if module else [])])
                for name in names:
                    inner = f"{base}.{name.name}"
                    yield (inner if inner in known else base), node.lineno
            case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"), args=[first, *_]):
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, node.lineno


def _modules(sources: Sources) -> frozenset[str]:
    return frozenset(map(module_of, sources))


def room_of(module: str) -> tuple[int, str] | None:
    """Find floor and room of a module of ours; the longest name that fits decides, and the face is itself alone."""
    fits = [
        (len(room), floor, room)
        for floor, rooms in enumerate(FLOORS)
        for room in rooms
        if module == room or (room != "trader" and module.startswith(f"{room}."))
    ]
    return max(fits)[1:] if fits else None


def upward(sources: Sources) -> list[str]:
    """Law 1: imports run downward, and rooms on one floor do not import each other."""
    broken = []
    known = _modules(sources)
    for path, source in sources.items():
        here = room_of(module_of(path))
        if here is None:
            broken.append(f"{path}: stands in no room of the house (FLOORS)")
            continue
        for module, line in imports(path, source, known):
            if module.partition(".")[0] not in {"trader", "strategies", "backtests"}:
                continue
            there = room_of(module)
            if there is None:
                broken.append(f"{path}:{line}: {module} is in no room of the house")
            elif there[0] > here[0]:
                broken.append(f"{path}:{line}: {here[1]} imports upward: {module}")
            elif there[0] == here[0] and there[1] != here[1] and here[1] not in TOP_ROOMS:
                broken.append(f"{path}:{line}: {here[1]} imports its neighbour {module}")
    return broken


def circles(sources: Sources) -> list[str]:
    """Law 1: no circle of imports, imports inside functions included."""
    known = _modules(sources)
    edges = {
        module_of(path): sorted({name for name, _ in imports(path, source, known) if name in known})
        for path, source in sources.items()
    }
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            found.append(" > ".join([*trail[trail.index(module) :], module]))
        elif module not in done:
            for target in edges[module]:
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())
    return found


def impure(sources: Sources) -> list[str]:
    """Laws 2 and 5: the core imports the standard library less what acts or asks the world, numpy, and itself."""
    broken = []
    for path, source in sources.items():
        if not path.startswith("trader/core/"):
            continue
        for module, line in imports(path, source):
            root = module.partition(".")[0]
            ours = module == "trader.core" or module.startswith("trader.core.")
            pure = root in sys.stdlib_module_names and root not in IMPURE_MODULES
            if not (ours or pure or root == "numpy") or module.startswith("numpy.random"):
                broken.append(f"{path}:{line}: the core imports {module}")
        for node in ast.walk(parsed(source)):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                    broken.append(f"{path}:{node.lineno}: the core calls {name}()")
                case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name) if (
                    owner in {"datetime", "date"} and name in CLOCKS
                ):
                    broken.append(f"{path}:{node.lineno}: the core asks the clock: {owner}.{name}")
                case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"):
                    broken.append(f"{path}:{node.lineno}: the core is random: numpy.random")
                case _:
                    pass
    return broken


def outside(sources: Sources) -> list[str]:
    """Law 3: an outside package is imported only in the files that the table names for it."""
    broken = []
    for path, source in sources.items():
        for module, line in imports(path, source):
            root = module.partition(".")[0]
            if root in sys.stdlib_module_names or root in {"trader", "strategies", "backtests"}:
                continue
            allowed, _reason = OUTSIDE.get(root, ((), ""))
            if not any(fnmatch(path, pattern) for pattern in allowed):
                where = ", ".join(allowed) or "nowhere: add it to OUTSIDE with a reason"
                broken.append(f"{path}:{line}: {root} is imported here; allowed: {where}")
    return broken


def environment(sources: Sources) -> list[str]:
    """`trader/settings.py` is the only reader of the environment."""
    return [
        f"{path}:{node.lineno}: reads the environment"
        for path, source in sources.items()
        if path != "trader/settings.py"
        for node in ast.walk(parsed(source))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"})
        or (isinstance(node, ast.alias) and node.name in {"environ", "getenv"})
    ]


def modes(sources: Sources) -> list[str]:
    """Law 4: no name and no key asks "am I live?"."""
    broken = []
    for path, source in sources.items():
        for node in ast.walk(parsed(source)):
            names: list[object] = [getattr(node, field, None) for field in ("id", "attr", "arg", "name")]
            if isinstance(node, ast.Constant):
                names.append(node.value)
            broken += [
                f"{path}:{getattr(node, 'lineno', 0)}: mode flag {name}"
                for name in names
                if isinstance(name, str) and MODE_FLAGS.fullmatch(name)
            ]
    return broken


def _is_broad(caught: ast.expr | None) -> bool:
    match caught:
        case None | ast.Name(id="Exception" | "BaseException"):
            return True
        case ast.Attribute(attr="Exception" | "BaseException"):
            return True
        case ast.Tuple(elts=several):
            return any(map(_is_broad, several))
        case _:
            return False


def _catches_all(node: ast.AST) -> TypeGuard[ast.ExceptHandler | ast.Call]:
    if isinstance(node, ast.ExceptHandler):
        return _is_broad(node.type)
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "suppress":
        return any(map(_is_broad, node.args))
    return False


def broad(sources: Sources) -> list[str]:
    """Law 7: a broad `except` stands only where the table says, and not more often."""
    broken = []
    for path, source in sources.items():
        lines = [node.lineno for node in ast.walk(parsed(source)) if _catches_all(node)]
        if len(lines) > BROAD.get(path, (0, ""))[0]:
            broken += [f"{path}:{line}: broad except" for line in sorted(lines)]
    return broken


def long(sources: Sources) -> list[str]:
    """Law 7: no function over 60 lines (80 if it is a match), no file over 400, without `# long: reason` in place."""
    broken = []
    for path, source in sources.items():
        lines = source.splitlines()
        if len(lines) > FILE_LINES and not any(LONG.match(line) for line in lines):
            broken.append(f"{path}: {len(lines)} lines (at most {FILE_LINES})")
        for node in ast.walk(parsed(source)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            limit = MATCH_LINES if any(isinstance(part, ast.Match) for part in node.body) else FUNCTION_LINES
            excused = any(LONG.search(line) for line in lines[max(node.lineno - 2, 0) : node.lineno])
            if length > limit and not excused:
                broken.append(f"{path}:{node.lineno}: {node.name} has {length} lines (at most {limit})")
    return broken
