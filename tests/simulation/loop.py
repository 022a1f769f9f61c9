"""An event loop without sockets, threads and waiting: its time goes on when there is nothing to do, and a life can end at any step.

A life is one incarnation of the bot. Everything that runs in its context is counted, step by step; a step is what a task does between two
awaits, and it has the name of the await before it (`points.py`). When a life ends nothing of it runs any more, neither clean-up nor the end
of a task, as after kill -9. A life that is paused, as after SIGSTOP, does afterwards what became due meanwhile.
"""

import asyncio
from contextvars import Context, ContextVar, copy_context
from heapq import heapify, heappop, heappush

from tests.simulation.points import point_of, room_of

LIFE = ContextVar("LIFE", default=None)


class InOrder(dict):
    """A set of tasks in the order in which they were begun: a plain one is cancelled in the order of their addresses."""

    def add(self, task):
        self[task] = None

    def discard(self, task):
        self.pop(task, None)


def _begun_in_order(self, _init=asyncio.TaskGroup.__init__):
    _init(self)
    self._tasks = InOrder()


asyncio.TaskGroup.__init__ = _begun_in_order


class Life:
    """One incarnation.

    It dies before its `dies_at`-th step, before its `dies_busy_at`-th while it `is_busy`, or before it goes on from the await point
    `dies_by` = [name, n] for the n-th time, or before its n-th step in a room, `dies_in` = [room, n]; None = it lives on.
    """

    def __init__(self, name, *, dies_at=None, dies_busy_at=None, dies_by=None, dies_in=None, notes=None):
        self.name, self.dies_at, self.dies_busy_at = name, dies_at, dies_busy_at
        self.dies_by, self.dies_in, self.notes = dies_by, dies_in, notes
        self.rooms = {}
        self.steps, self.busy_steps, self.is_dead = 0, 0, False
        self.visits, self.chains, self.path = {}, {}, []
        self.turn = 0  # which of the plan's ends is its
        self.branches = None  # asked at each step whether a story branches off, in which it ends here
        self.ended_at = ""  # the await point at which it ended
        self.ended_in = ()  # that await and those that wait for it
        self.is_paused, self.held = False, []
        self.loses_power = self.is_losing = False
        self.is_busy = lambda: False
        self.ended = asyncio.Event()

    def step(self, callback):
        """Whether the next step is done."""
        if self.is_dead:
            return False
        self.steps += 1
        if self.dies_busy_at is not None:
            self.busy_steps += self.is_busy()
        point, frames = point_of(callback)
        count = self.visits[point] = self.visits.get(point, 0) + 1
        self.chains[frames] = self.chains.get(frames, 0) + 1
        self.path.append((point, count))
        if self.notes is not None:
            self.notes(self.name, point)
        is_last = self.steps == self.dies_at or (self.dies_busy_at and self.busy_steps >= self.dies_busy_at)
        if self.dies_in is not None:
            room = room_of(point)
            self.rooms[room] = self.rooms.get(room, 0) + 1
            is_last = is_last or self.dies_in == [room, self.rooms[room]]
        if is_last or (self.dies_by is not None and self.dies_by == [point, count]):
            if self.loses_power:
                self.is_losing = True  # it ends within its next commit
                return True
            self.kill(point, frames)
            return False
        if self.branches is not None and self.branches(self, point, count, frames):
            self.kill(point, frames)
            return False
        return True

    def kill(self, point="", frames=()):
        """End it here and now."""
        if not self.is_dead:
            self.is_dead, self.ended_at, self.ended_in = True, point, frames
            self.ended.set()

    def spare(self):
        """Let it live on: no end is planned for it any more."""
        self.dies_at = self.dies_busy_at = self.dies_by = self.dies_in = None


class StuckError(Exception):
    """Nothing is left that could ever happen."""


class _OfLife:
    """A callback of a life: one step of it."""

    __slots__ = ()

    def _run(self):
        if self.life.is_paused:
            self.life.held.append(self)
        elif self.life.step(self._callback):
            super()._run()


class _Step(_OfLife, asyncio.Handle):
    """A step that is due."""

    __slots__ = ("life",)


class _StepAt(_OfLife, asyncio.TimerHandle):
    """A step at a time. Told apart by that alone, as in the class above, which looks at what it compares with first."""

    __slots__ = ("life",)

    def __lt__(self, other):
        return self._when < other._when

    def __gt__(self, other):
        return self._when > other._when


class SimulatedLoop(asyncio.BaseEventLoop):
    """One thread, one order of things, and a time of its own in `now`."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self._clock_resolution = 1e-9
        self.buried = []  # tasks of lives that ended: they are never collected while the world goes on

    def time(self):
        return self.now

    def _process_events(self, events):
        assert not events

    def _write_to_self(self):
        pass

    def call_soon(self, callback, *args, context=None):
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is None:
            return super().call_soon(callback, *args, context=context)
        handle = _Step(callback, args, self, context)
        handle.life = life
        self._ready.append(handle)
        return handle

    def call_at(self, when, callback, *args, context=None):
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is None:
            return super().call_at(when, callback, *args, context=context)
        handle = _StepAt(when, callback, args, self, context)
        handle.life = life
        heappush(self._scheduled, handle)
        handle._scheduled = True
        return handle

    def _run_once(self):
        """As in the class above, in which what is due is looked for among sockets as well."""
        timers, ready = self._scheduled, self._ready
        if len(timers) > 100 and self._timer_cancelled_count > len(timers) * 0.5:
            for timer in timers:
                timer._scheduled = not timer._cancelled
            timers[:] = [timer for timer in timers if not timer._cancelled]
            heapify(timers)
            self._timer_cancelled_count = 0
        while timers and timers[0]._cancelled:
            self._timer_cancelled_count -= 1
            heappop(timers)._scheduled = False
        if not ready and not self._stopping:
            if not timers:
                raise StuckError("every task waits for something that nobody will do")
            self.now += max(timers[0]._when - self.now, 0.0)
        end = self.now + self._clock_resolution
        while timers and timers[0]._when < end:
            timer = heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def pause(self, life):
        """Stop a life, as with SIGSTOP."""
        life.is_paused = True

    def go_on(self, life):
        """Let it go on: what became due meanwhile is done now, in its order."""
        life.is_paused = False
        held, life.held = life.held, []
        self._ready.extend(held)

    def in_world(self, coroutine):
        """A task that belongs to no life: what is on the wire goes on when its sender is dead."""
        task = self.create_task(coroutine, context=Context())
        self.buried.append(task)
        return task

    def in_life(self, life, coroutine):
        """A task of a life; so are all that it creates."""
        context = copy_context()
        context.run(LIFE.set, life)
        task = self.create_task(coroutine, context=context)
        self.buried.append(task)
        return task
