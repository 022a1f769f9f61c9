"""Routing: on which venue of a mount's list an asset is bought; it is sold where it lies."""

from collections.abc import Sequence

from trader.core.instruments import Number, Terms


def buy_at(terms: Sequence[Terms], cash: dict[str, Number]) -> Terms:
    """The first venue of the list where the mount has cash; the first of all when none has."""
    for one in terms:
        if cash.get(one.venue, 0) > 0:
            return one
    return terms[0]
