"""Small changes of a module's source, each a mutant: what a test must notice.

Left alone: annotations, docstrings, assertions, `__slots__`, what `@dataclass` is told, and texts for people (with a space, in a `raise`,
or parts of an f-string), because tests do not judge prose.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
REVERSED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)  # a change of these already negates the condition
COMPUTED: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "*", ast.Pow: "*",
    ast.BitOr: "&", ast.BitAnd: "|", ast.BitXor: "&", ast.LShift: ">>", ast.RShift: "<<",
}  # fmt: skip
QUIET = frozenset({"__slots__", "__all__", "TypeVar", "NewType", "cast", "Literal"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: `old` at [start, end) of the source becomes `new`; lines is the statement's span, function the outermost it lies in.

    `function` is None where the change acts while the module is imported: tables, defaults, class bodies, decorators.
    """

    operator: str
    line: int
    lines: tuple[int, int]
    function: str | None
    start: int
    end: int
    old: str
    new: str
    text: str  # the line, stripped

    def apply(self, source: str) -> str:
        """The source with this change."""
        return source[: self.start] + self.new + source[self.end :]

    @property
    def name(self) -> str:
        """What a person reads, without line breaks."""
        return f"{self.operator}: {' '.join(self.old.split())} -> {self.new}"


class Maker(ast.NodeVisitor):
    """Walks a module and notes every change."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Mutant] = []
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._function: str | None = None
        self._names: list[str] = []
        self._span = (1, 1)
        self._quiet = False

    def _place(self, line: int, column: int) -> int:
        text = self._lines[line - 1]
        return self._starts[line - 1] + len(text.encode()[:column].decode())

    def _bounds(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._place(node.lineno, node.col_offset), self._place(node.end_lineno, node.end_col_offset)

    def _text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self._bounds(node)
        return self.source[start:end]

    def _note(self, operator: str, node: ast.expr | ast.stmt, new: str) -> None:
        start, end = self._bounds(node)
        self._splice(operator, node.lineno, start, end, new)

    def _splice(self, operator: str, line: int, start: int, end: int, new: str) -> None:
        text = self._lines[line - 1].strip()
        old = self.source[start:end]
        self.found.append(Mutant(operator, line, self._span, self._function, start, end, old, new, text))

    # What holds statements

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            before = self._span
            first = (
                node.body[0].lineno - 1 if isinstance(node, ast.If | ast.While | ast.For | ast.With | ast.Try) else 0
            )
            self._span = (node.lineno, max(node.lineno, first) if first else node.end_lineno or node.lineno)
            super().visit(node)
            self._span = before
        else:
            super().visit(node)

    def _inside(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outer in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outer)
        outermost = self._function is None
        self._names.append(node.name)
        if outermost:
            self._function = ".".join(self._names)
        for one in node.body[1:] if ast.get_docstring(node) is not None else node.body:
            self.visit(one)
        self._names.pop()
        if outermost:
            self._function = None

    visit_FunctionDef = visit_AsyncFunctionDef = _inside

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outer in node.decorator_list:
            if not (isinstance(outer, ast.Call) and isinstance(outer.func, ast.Name) and outer.func.id == "dataclass"):
                self.visit(outer)
        self._names.append(node.name)
        for one in node.body:
            self.visit(one)
        self._names.pop()

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._condition(node.test)
            self.generic_visit(node)
        else:
            for one in node.body:
                self.visit(one)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._condition(test)
        self.generic_visit(node)

    def _condition(self, test: ast.expr) -> None:
        plain = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], REVERSED)
        if not plain and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            self._note("negate", test, f"(not ({self._text(test)}))")

    # Statements

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring, or `...`
        self._note("drop", node, "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._note("drop", node, "pass")  # and its text is for people

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._note("return", node, "return None")
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._note("drop", node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._note("drop", node, "pass")

    def visit_Delete(self, node: ast.Delete) -> None:
        if not all(isinstance(one, ast.Name) for one in node.targets):  # a name that is let go changes nothing
            self._note("drop", node, "pass")

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave it alone."""

    def visit_Assign(self, node: ast.Assign) -> None:
        names = {one.id for one in node.targets if isinstance(one, ast.Name)}
        if names & QUIET:
            return
        if any(isinstance(one, ast.Attribute | ast.Subscript) for one in node.targets):
            self._note("drop", node, "pass")
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is None:
            return
        if isinstance(node.target, ast.Attribute):
            self._note("drop", node, "pass")
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._note("drop", node, "pass")
        self._between("compute", node.target, node.value, COMPUTED[type(node.op)] + "=")
        self.visit(node.value)

    # Expressions

    def _between(self, operator: str, left: ast.expr, right: ast.expr, new: str) -> None:
        """Replace the sign that stands between two expressions, brackets and breaks around it kept."""
        start, end = self._bounds(left)[1], self._bounds(right)[0]
        gap = self.source[start:end]
        sign = gap.strip().strip("()").strip()
        if "#" in gap or "\n" in sign:
            return
        begin = start + gap.index(sign)
        self._splice(operator, left.end_lineno or left.lineno, begin, begin + len(sign), new)

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            self._between("compare", left, right, COMPARED[type(op)])
            left = right
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = [one for one in (node.left, node.right) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        types = isinstance(node.op, ast.BitOr) and all(map(_names_a_type, (node.left, node.right)))
        if not types and not texts:
            self._between("compute", node.left, node.right, COMPUTED[type(node.op)])
        if not types:
            self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for one in node.values:
            rest = [self._text(other) for other in node.values if other is not one]
            word = " and " if isinstance(node.op, ast.And) else " or "
            self._note("operand", node, f"({word.join(rest)})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._note("unary", node, f"({self._text(node.operand)})")
        if not isinstance(node.op, ast.USub):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in QUIET:
            return
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave it alone."""

    def visit_MatchValue(self, node: ast.MatchValue) -> None:
        """Leave it alone."""

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._note("constant", node, str(not value))
        elif isinstance(value, int | float):
            self._note("constant", node, repr(value + 1))
        elif isinstance(value, str) and value and " " not in value:
            self._note("constant", node, repr(value + "XX"))
        elif isinstance(value, bytes) and value:
            self._note("constant", node, repr(value + b"XX"))


def _names_a_type(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _names_a_type(node.left) and _names_a_type(node.right)
    if isinstance(node, ast.Subscript):
        return _names_a_type(node.value)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    known = name in {"int", "float", "str", "bool", "bytes", "list", "dict", "tuple", "set", "object"}
    return known or name[:1].isupper() or (isinstance(node, ast.Constant) and node.value is None)


def changes(source: str) -> list[Mutant]:
    """Every change of a module, in the order of the source."""
    maker = Maker(source)
    maker.visit(ast.parse(source))
    return sorted(maker.found, key=lambda found: (found.start, found.end, found.new))


def mutants(source: str) -> Iterator[Mutant]:
    """Every change of a module that still compiles."""
    for one in changes(source):
        try:
            compile(one.apply(source), "mutant", "exec", dont_inherit=True)
        except SyntaxError:
            continue
        yield one
