"""Fees that an account pays in something that is not of the pair: the venue's own token, or points, which are no asset of the account."""

from decimal import ROUND_CEILING, Decimal

POINTS = "points"
WORTH = {"GT": Decimal(8), POINTS: Decimal(1)}  # in quote money
SHARE = Decimal("0.0001")


def covered(due: Decimal, asset: str, there: Decimal) -> tuple[Decimal, Decimal]:
    """How much of an asset a fee of so much quote money takes, and which share of the fee is left where there is not enough of it."""
    if not asset or not due:
        return Decimal(0), Decimal(1)
    whole = due / WORTH[asset]
    paid = max(Decimal(0), min(whole, there))
    return paid, (1 - paid / whole).quantize(SHARE, ROUND_CEILING)
