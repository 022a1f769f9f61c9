"""An event loop without sockets, threads and waiting: its time goes on when there is nothing to do, and a life can end at any step.

A life is one incarnation of the bot. Everything that runs in its context is counted, step by step; a step is what a task does between two
awaits. When a life ends nothing of it runs any more, neither clean-up nor the end of a task, as after kill -9.
"""

import asyncio
from contextvars import Context, ContextVar, copy_context

LIFE = ContextVar("LIFE", default=None)


class Life:
    """One incarnation. It dies before its `dies_at`-th step, or before its `dies_busy_at`-th while it `is_busy`; None = it lives on."""

    def __init__(self, name, *, dies_at=None, dies_busy_at=None):
        self.name, self.dies_at, self.dies_busy_at = name, dies_at, dies_busy_at
        self.steps, self.busy_steps, self.is_dead = 0, 0, False
        self.is_busy = lambda: False
        self.ended = asyncio.Event()

    def step(self):
        """Whether the next step is done."""
        if self.is_dead:
            return False
        self.steps += 1
        self.busy_steps += self.is_busy()
        if self.steps == self.dies_at or (self.dies_busy_at and self.busy_steps >= self.dies_busy_at):
            self.kill()
            return False
        return True

    def kill(self):
        """End it here and now."""
        self.is_dead = True
        self.ended.set()


class StuckError(Exception):
    """Nothing is left that could ever happen."""


class _NoSelector:
    """Stands where sockets would be watched: waiting for nothing is the passing of time."""

    def __init__(self, loop):
        self._loop = loop

    def select(self, timeout):
        if timeout is None:
            raise StuckError("every task waits for something that nobody will do")
        self._loop.now += max(timeout, 0.0)
        return []

    def close(self):
        pass


class SimulatedLoop(asyncio.BaseEventLoop):
    """One thread, one order of things, and a time of its own in `now`."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self._clock_resolution = 1e-9
        self._selector = _NoSelector(self)
        self.buried = []  # tasks of lives that ended: they are never collected while the world goes on

    def time(self):
        return self.now

    def _process_events(self, events):
        assert not events

    def _write_to_self(self):
        pass

    def call_soon(self, callback, *args, context=None):
        return super().call_soon(_counted(callback, context), *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        return super().call_at(when, _counted(callback, context), *args, context=context)

    def in_world(self, coroutine):
        """A task that belongs to no life: what is on the wire goes on when its sender is dead."""
        return self.create_task(coroutine, context=Context())

    def in_life(self, life, coroutine):
        """A task of a life; so are all that it creates."""
        context = copy_context()
        context.run(LIFE.set, life)
        task = self.create_task(coroutine, context=context)
        self.buried.append(task)
        return task


def _counted(callback, context):
    life = LIFE.get() if context is None else context.get(LIFE)
    if life is None:
        return callback

    def run(*args):
        if life.step():
            callback(*args)

    return run
