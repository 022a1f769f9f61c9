"""Numbers of the plain reference: float64 or Decimal, and rounding to lots and ticks (rules 27 and 29)."""

import math
from decimal import Decimal


class Arithmetic:
    def __init__(self, exact, cash):
        self.exact = exact
        self.start = self.of(cash)
        self.zero = self.of(0.0)
        self.one = self.of(1.0)
        self.infinite = self.of(math.inf)
        self.touch = self.of(1e-12)
        self.slack = self.zero if exact else self.start * self.touch

    def of(self, value):
        if self.exact:
            return value if isinstance(value, Decimal) else Decimal(repr(float(value)))
        return float(value)

    def _near(self, quotient):
        return max(self.of(1e-9), abs(quotient) * self.of(1e-12))

    def down(self, value, unit):
        if unit is None or value == self.infinite:
            return value
        quotient = value / unit
        whole = math.floor(quotient)
        if whole + 1 - quotient <= self._near(quotient):
            whole += 1
        return whole * unit

    def up(self, value, unit):
        if unit is None:
            return value
        quotient = value / unit
        whole = math.ceil(quotient)
        if quotient - (whole - 1) <= self._near(quotient):
            whole -= 1
        return whole * unit

    def at_or_below(self, price, level):
        return price <= level + abs(level) * self.touch

    def at_or_above(self, price, level):
        return price >= level - abs(level) * self.touch
