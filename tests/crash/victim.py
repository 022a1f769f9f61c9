"""The `trader` command in a process that kills itself with SIGKILL at a step, for tests: VICTIM_STEP=12, or VICTIM_STEP=before send:2.
VICTIM_SIGNAL=STOP stops it there instead, until somebody lets it go on.

Steps are the edges of the protocol: before and after each commit, each request with an order, each acknowledgement.
"""

import os
import signal
import sys
from collections import Counter
from functools import partial
from itertools import count

from trader import app
from trader.adapters import ccxt_venue, journal_postgres, journal_sqlite, mqtt, sources
from trader.cli import main

STEP = os.environ.get("VICTIM_STEP", "")
SIGNAL = signal.Signals[f"SIG{os.environ.get('VICTIM_SIGNAL', 'KILL')}"]
steps, named = count(1), Counter()


def tick(name):
    named[name] += 1
    if STEP in {str(next(steps)), f"{name}:{named[name]}"}:
        print(f"VICTIM {name}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), SIGNAL)


def edged(cls, method, name):
    inner = getattr(cls, method)

    async def outer(self, *args, **kwargs):
        tick(f"before {name}")
        found = await inner(self, *args, **kwargs)
        tick(f"after {name}")
        return found

    setattr(cls, method, outer)


def edged_acknowledge(cls):
    inner = cls._message

    def outer(*args):
        message = inner(*args)
        plain = message.acknowledge

        async def acknowledge():
            tick("before acknowledge")
            await plain()
            tick("after acknowledge")

        object.__setattr__(message, "acknowledge", acknowledge)
        return message

    cls._message = staticmethod(outer) if cls is mqtt.MqttSource else outer


edged(journal_sqlite.SqliteJournal, "append", "commit")
edged(journal_postgres.PostgresJournal, "append", "commit")
edged(journal_postgres.PostgresJournal, "_insert", "insert")
edged(ccxt_venue.CcxtVenue, "send", "send")
edged_acknowledge(mqtt.MqttSource)
edged_acknowledge(sources.Directory)
app.LEASE_SECONDS = float(os.environ.get("VICTIM_LEASE", app.LEASE_SECONDS))  # shorter, where a test has little time
app.Pace = partial(app.Pace, snapshot_facts=150)  # often enough for kills to find some
main(sys.argv[1:])
