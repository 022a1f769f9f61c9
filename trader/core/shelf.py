"""The shelf: what was computed from a tape and many replays share – columns, moments of conditions, hits of exits.

Keys say all that a result depends on; the tape does not change. What was put there first goes first when the whole
grows over its bound; who holds a result keeps it.
"""

from collections import deque
from typing import Generic, TypeVar

Kept = TypeVar("Kept")
MOST = 256 * 2**20  # bytes


class Shelf(Generic[Kept]):
    """Results by key, of a bounded size in all."""

    __slots__ = ("_kept", "_order", "_sizes", "get", "most", "size")

    def __init__(self, most: int = MOST) -> None:
        self._kept: dict[object, Kept] = {}
        self._sizes: dict[object, int] = {}
        self._order: deque[object] = deque()  # a dictionary finds its first key behind all that were taken from there
        self.most, self.size = most, 0
        self.get = self._kept.get

    def put(self, key: object, value: Kept, size: int) -> Kept:
        """Keep a result of about this many bytes, and return it."""
        if key in self._kept:
            self.size -= self._sizes[key]
        else:
            self._order.append(key)
        self._kept[key], self._sizes[key] = value, size
        self.size += size
        while self.size > self.most and len(self._kept) > 1:
            oldest = self._order[0]
            if oldest == key:
                break
            self._order.popleft()
            del self._kept[oldest]
            self.size -= self._sizes.pop(oldest)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._sizes.clear()
        self._order.clear()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)
