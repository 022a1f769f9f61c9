"""Migrations of the journal's tables: the statements that lead from one version to the newest, as alembic writes them.

They are run by the journal itself, on its own connection and in one transaction, so that a step is whole or not done at all.
"""

from functools import lru_cache
from io import StringIO
from pathlib import Path

from trader.adapters.journal_tables import VERSION

HOME = Path(__file__).with_name("migrations")
BEFORE_ALEMBIC = (  # a journal of version 1 was made without alembic's own table
    "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version (version_num) SELECT '0001' WHERE NOT EXISTS (SELECT 1 FROM alembic_version)",
)


@lru_cache
def statements(dialect: str, have: int, upto: int = VERSION) -> tuple[str, ...]:
    """What brings tables of version `have` (0 = none) to `upto`, in the SQL of a dialect: sqlite or postgresql."""
    from alembic import command  # noqa: PLC0415 - a tenth of a second, and needed once in the life of a journal
    from alembic.config import Config  # noqa: PLC0415

    if have == upto:
        return ()
    config, buffer = Config(), StringIO()
    config.set_main_option("script_location", str(HOME).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(dialect=dialect, buffer=buffer)
    command.upgrade(config, f"{have:04}:{upto:04}" if have else f"{upto:04}", sql=True)
    found = tuple(one.strip() for one in buffer.getvalue().split(";\n") if one.strip())
    return (*BEFORE_ALEMBIC, *found) if have == 1 else found
