"""Small libraries that are loaded before a process's own, so that the real program meets a disk and clocks that we command.

They need a C compiler. Where there is none the tests skip and say so; where SERVICES=required is set, as in CI, they fail.
"""

import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.parts import program

HERE = Path(__file__).parent
SIX = struct.Struct("6d")


def built(name, folder):
    """The library of `name`.c, built into a folder."""
    compiler, made = program("cc", "gcc", "clang"), folder / f"{name}.so"
    wanted = ["-O1", "-Wall", "-Werror", "-fPIC", "-shared", "-o", str(made), str(HERE / f"{name}.c"), "-ldl", "-lm"]
    done = subprocess.run([compiler, *wanted], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


@dataclass
class Clocks:
    """The clocks of the processes that have `environment`: wall, monotonic, boot, as the machine's until they are set."""

    folder: Path
    speed: float = 1.0
    since: float = field(default_factory=time.monotonic)
    wall: float = 0.0  # seconds ahead of the machine's
    monotonic: float = 0.0
    boot: float = 0.0
    drift: float = 0.0  # by which share the wall runs too fast since `since`

    def __post_init__(self):
        self._library, self._file = built("clocks", self.folder), self.folder / "clocks"
        self._keep()

    @property
    def environment(self):
        return {"LD_PRELOAD": str(self._library), "CLOCKS": str(self._file)}

    def set(self, **values):
        for name, value in values.items():
            setattr(self, name, value)
        self._keep()

    def jump(self, seconds):
        """The wall clock is set."""
        self.set(wall=self.wall + seconds)

    def slept(self, seconds):
        """The machine slept so long: its monotonic clock stood still, the others went on."""
        self.set(monotonic=self.monotonic - seconds)

    def now(self):
        """What the wall would show that nobody set: seconds since 1970, at this speed."""
        passed = time.monotonic() - self.since
        return time.time() + passed * (self.speed - 1)

    def _keep(self):
        with self._file.open("r+b" if self._file.exists() else "wb") as out:
            out.write(SIX.pack(self.since, self.speed, self.wall, self.monotonic, self.boot, self.drift))
