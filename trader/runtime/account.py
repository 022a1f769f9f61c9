"""The account as its stream tells of it: hints that shorten the time until a question, and prove nothing."""

from collections.abc import Callable

from trader.ports import Clock, Hint, Stirred, Venue, VenueDownError

AGAIN_SECONDS, AGAIN_SECONDS_MOST = 1.0, 30.0


class Account:
    """Listens to the account. `is_ours` knows client ids of ours, `wake` is called when something happened to an order.

    `is_stirred`: something happened that is none of ours, or was not told; whoever compares the account sets it back.
    """

    def __init__(
        self, venue: Venue, clock: Clock, *, is_ours: Callable[[str], bool], wake: Callable[[], None],
        tell: Callable[[str, bool, str], None],
    ) -> None:  # fmt: skip
        self._venue, self._clock = venue, clock
        self._is_ours, self._wake, self._tell = is_ours, wake, tell
        self.is_stirred = False
        self.is_streaming = False
        self._was_told: bool | None = None

    async def listen(self) -> None:
        """Keep the stream open, for ever."""
        pause = AGAIN_SECONDS
        while True:
            try:
                await self._venue.hear_account(self._heard)
            except VenueDownError as error:
                pause = AGAIN_SECONDS if self.is_streaming else min(pause * 2, AGAIN_SECONDS_MOST)
                self._link(False, str(error))
                self.is_stirred = True  # what happened meanwhile was not told
            await self._clock.sleep(pause)

    def _link(self, is_up: bool, why: str) -> None:
        self.is_streaming = is_up
        if is_up != self._was_told:
            self._was_told = is_up
            self._tell("account stream", is_up, why)

    def _heard(self, hint: Hint) -> None:
        """Something happened to an order: ask for ours at once, and compare the account where it is none of ours."""
        self._link(True, "tells")
        if isinstance(hint, Stirred) and hint.client_id and not self._is_ours(hint.client_id):
            self.is_stirred = True
        self._wake()
