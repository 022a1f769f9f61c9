"""The supervisor: whatever dies is started anew, into recovery, with pauses that grow. It knows no detail of what it runs."""

from collections.abc import Awaitable, Callable

from trader.ports import Clock, LeaseLostError
from trader.runtime.logs import Log

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SOUND_SECONDS = 60.0  # a run that lasted this long was sound: pauses begin anew


def first_of(error: BaseException) -> BaseException:
    """The first real exception in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def supervise(run: Callable[[], Awaitable[None]], clock: Clock, log: Log, *, most: int | None = None) -> None:
    """Run until it ends by itself. Raises LeaseLostError at once, and the last error after `most` failures in a row."""
    failures = 0
    while True:
        begin = clock.monotonic()
        try:
            await run()
        except (
            Exception
        ) as group:  # the one place where a broken part is not the end: crash-only, recovery is the start
            error = first_of(group)
            if isinstance(error, LeaseLostError):
                raise error from group
            failures = 0 if clock.monotonic() - begin > SOUND_SECONDS else failures
            failures += 1
            log.failed("restarting", error, failures=failures)
            if most is not None and failures >= most:
                raise error from group
            await clock.sleep(PAUSES[min(failures - 1, len(PAUSES) - 1)])
        else:
            return
