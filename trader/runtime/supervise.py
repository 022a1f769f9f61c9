"""The supervisor: whatever dies is started anew, into recovery, with pauses that grow. It knows no detail of what it runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from trader.ports import Clock, LeaseLostError
from trader.runtime.logs import Log
from trader.runtime.registry import LeftBehindError

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SOUND_SECONDS = 60.0  # a run that lasted this long was sound: pauses begin anew
STOP_SECONDS = 12.0  # how long a run that is told to end may take before it is cut off


def first_of(error: BaseException) -> BaseException:
    """The first real exception in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def supervise(
    run: Callable[[], Awaitable[None]], clock: Clock, log: Log, *, most: int | None = None,
    stopping: asyncio.Event | None = None, waits: bool = False, failed: Callable[[str], None] = lambda _why: None,
) -> None:  # fmt: skip
    """Run until it ends by itself, or until `stopping` is set, in whatever it is at that moment.

    Raises LeaseLostError and LeftBehindError at once, and the last error after `most` failures in a row. waits: whoever lost the lease is run anew instead,
    to wait for it. failed: told why, each time.
    """
    failures, stopping = 0, stopping or asyncio.Event()
    while not stopping.is_set():
        begin = clock.monotonic()
        try:
            await _until(run, stopping)
        except (
            Exception
        ) as group:  # the one place where a broken part is not the end: crash-only, recovery is the start
            error = first_of(group)
            if isinstance(error, LeftBehindError):
                raise error from group  # another start finds the same
            if isinstance(error, LeaseLostError):
                if not waits:
                    raise error from group
                log.warning("another process took over", why=str(error))
                continue
            failures = 0 if clock.monotonic() - begin > SOUND_SECONDS else failures
            failures += 1
            log.failed("restarting", error, failures=failures)
            failed(type(error).__name__)  # its text may name what is secret; the log has it, filtered
            if most is not None and failures >= most:
                raise error from group
            await _either(clock.sleep(PAUSES[min(failures - 1, len(PAUSES) - 1)]), stopping)
        else:
            return


async def _until(run: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    """Run to the end; one that is told to end and does not is cut off."""
    task = asyncio.ensure_future(run())
    try:
        await _first(task, stopping)
        if not task.done():
            await asyncio.wait({task}, timeout=STOP_SECONDS)
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _either(waiting: Awaitable[None], stopping: asyncio.Event) -> None:
    task = asyncio.ensure_future(waiting)
    await _first(task, stopping)
    task.cancel()


async def _first(task: "asyncio.Future[None]", stopping: asyncio.Event) -> None:
    stop = asyncio.create_task(stopping.wait())
    try:
        both: set[asyncio.Future[Any]] = {task, stop}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
