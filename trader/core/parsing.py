"""The text of conditions: `rating(trader_grade) >= 70 and close > sma(close, 50)`, as operators write it in YAML.

Read with the standard library's `ast` and a list of what is allowed; nothing is ever executed. Every error names the
text, the place, what is allowed and the nearest spelling.
"""

import ast
import difflib

from trader.core import expression as build
from trader.core.expression import COMPARISONS, CROSSINGS, KINDS, PRICES, WINDOWS, Column, Condition, ConditionError

FUNCTIONS = (*KINDS, *WINDOWS, "atr", *CROSSINGS, "turns", "truth")
NAMES = (*PRICES, *FUNCTIONS)
_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<="}
_DEEPEST = 200


def parse(text: str) -> Condition | Column:
    """The condition or column written in `text`; raises ConditionError with the remedy."""
    if not text.strip():
        raise ConditionError(f"{text!r} is no condition; write one such as rating(trader_grade) >= 70")
    try:
        tree = ast.parse(text.strip().replace("\n", " "), mode="eval")
        return _Reader(text).read(tree.body)
    except SyntaxError as error:
        where = f" at character {error.offset}" if error.offset else ""
        raise ConditionError(
            f"condition {text!r} cannot be read{where}: {error.msg}; write it such as rating(trader_grade) >= 70 and "
            "close > sma(close, 50)"
        ) from error
    except (RecursionError, MemoryError) as error:
        raise ConditionError("the condition is nested too deeply; name parts of it separately") from error
    except ValueError as error:
        if str(error).startswith("condition "):
            raise
        raise ConditionError(f"condition {text!r} cannot be read: {error}") from error


class _Reader:
    """Turns one syntax tree into a condition, with the text at hand for errors."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, node: ast.AST, problem: str) -> ConditionError:
        return ConditionError(f"condition {self.text!r}: {ast.unparse(node)!r} {problem}")

    def read(self, node: ast.expr) -> Condition | Column:
        match node:
            case ast.Constant(value=value):
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise self.fail(node, "is not allowed here; allowed are columns and numbers")
                return build.number(value)
            case ast.Name(id=name):
                return self.price(node, name)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return self.signed(node)
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                return ~self.condition(operand)
            case ast.BinOp():
                return self.arithmetic(node)
            case ast.BoolOp(op=op, values=values):
                return self.joined("and" if isinstance(op, ast.And) else "or", [self.condition(v) for v in values])
            case ast.Compare():
                return self.comparison(node)
            case ast.Call():
                return self.call(node)
        raise self.fail(node, f"is not allowed; allowed are numbers, + - * /, {' '.join(COMPARISONS)}, and, or, not, "
                              f"{', '.join(NAMES)}")  # fmt: skip

    def column(self, node: ast.expr) -> Column:
        found = self.read(node)
        if isinstance(found, Column):
            return found
        raise self.fail(node, "is a condition where a column is needed, such as close or sma(close, 50)")

    def condition(self, node: ast.expr) -> Condition:
        found = self.read(node)
        if isinstance(found, Condition):
            return found
        raise self.fail(node, f"is a column where a condition is needed, such as {found} > 0")

    def signed(self, node: ast.expr) -> Column:
        """Any number of signs before a column: two minus signs are none."""
        is_minus = False
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            is_minus ^= isinstance(node.op, ast.USub)
            node = node.operand
        column = self.column(node)
        if not is_minus:
            return column
        return build.number(-column.number) if column.op == "number" else -column

    def price(self, node: ast.expr, name: str) -> Column:
        if name in PRICES:
            return Column(name)
        if name in FUNCTIONS:
            raise self.fail(node, f"needs brackets, such as {_EXAMPLES[name]}")
        raise self.fail(node, _unknown(name, "column"))

    def arithmetic(self, node: ast.BinOp) -> Condition | Column:
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            name = "and" if isinstance(node.op, ast.BitAnd) else "or"
            return self.joined(name, [self.condition(node.left), self.condition(node.right)])
        op = _ARITHMETIC.get(type(node.op))
        if op is None:
            raise self.fail(node, "uses an operator that is not allowed; allowed are + - * /")
        return Column(op, (self.column(node.left), self.column(node.right)))

    def joined(self, op: str, parts: list[Condition]) -> Condition:
        whole = parts[0]
        for part in parts[1:]:
            whole = Condition(op, parts=(whole, part))
        return whole

    def comparison(self, node: ast.Compare) -> Condition:
        sides = [self.column(side) for side in (node.left, *node.comparators)]
        parts = []
        for op, left, right in zip(node.ops, sides, sides[1:], strict=False):
            name = _COMPARE.get(type(op))
            if name is None:
                raise self.fail(node, f"uses a comparison that is not allowed; allowed are {' '.join(COMPARISONS)}")
            if not (left.sources or right.sources):
                raise self.fail(node, "compares numbers only; one side must be a column")
            parts.append(Condition(name, (left, right)))
        return self.joined("and", parts)

    def call(self, node: ast.Call) -> Condition | Column:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name in PRICES:
            raise self.fail(node, f"takes no brackets; write {name}")
        if name not in FUNCTIONS:
            raise self.fail(node, _unknown(name, "function"))
        seeded = name == "ema" and len(node.args) == 3 and ast.unparse(node.args[2]) == "seeded"
        arguments = node.args[:2] if seeded else node.args
        if node.keywords or len(arguments) != (1 if name in {*KINDS, "atr", "turns", "truth"} else 2):
            raise self.fail(node, f"has the wrong arguments; write it as {_EXAMPLES[name]}")
        return self.applied(name, arguments, seeded=seeded)

    def applied(self, name: str, arguments: list[ast.expr], *, seeded: bool) -> Condition | Column:
        first = arguments[0]
        if name in KINDS:
            return Column(name, kind=self.kind(name, first))
        if name == "turns":
            return self.condition(first).turns()
        if name == "truth":
            return build.truth(self.condition(first))
        if name == "atr":
            return build.atr(self.whole(name, first))
        if name == "crosses_above":
            return self.column(first).crosses_above(self.column(arguments[1]))
        if name == "crosses_below":
            return self.column(first).crosses_below(self.column(arguments[1]))
        column, n = self.column(first), self.whole(name, arguments[1])
        if name == "ema":
            return build.ema(column, n, seeded=seeded)
        return _WINDOWS[name](column, n)

    def kind(self, name: str, node: ast.expr) -> str:
        match node:
            case ast.Name(id=kind):
                return kind
            case ast.Constant(value=str(kind)) if kind:
                return kind
        raise self.fail(node, f"is no kind; write it as {_EXAMPLES[name]}")

    def whole(self, name: str, node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int(n)) if not isinstance(n, bool):
                return n
        raise self.fail(node, f"must be a whole number, as in {_EXAMPLES[name]}")


_WINDOWS = {
    "sma": build.sma,
    "rsi": build.rsi,
    "highest": build.highest,
    "lowest": build.lowest,
    "rank": build.rank,
    "lag": build.lag,
    "change": build.change,
}
_EXAMPLES = {
    "rating": "rating(trader_grade)",
    "signal": "signal(trading_signal)",
    "age": "age(trader_grade)",
    "atr": "atr(14)",
    "turns": "turns(close > 100)",
    "truth": "truth(close > 100)",
    **{name: f"{name}(close, 50)" for name in WINDOWS},
    **{name: f"{name}(close, sma(close, 50))" for name in CROSSINGS},
}


def _unknown(name: str, what: str) -> str:
    near = difflib.get_close_matches(name, NAMES, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"is an unknown {what}; {hint}allowed are {', '.join(NAMES)}"
