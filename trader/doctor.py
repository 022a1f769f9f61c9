"""`trader doctor`: everything that a run needs, looked at before it starts, each with what was found and what to do about it.

It changes nothing, except that `binds` binds the key; it makes no folder and no database, and prints no secret.
"""

from pathlib import Path

from trader.core.view import Strategy
from trader.doctor_feeds import broker_row, database_rows, vendor_rows
from trader.doctor_house import daemon_rows, limits_row, secret_rows, state_rows
from trader.doctor_venue import Patient, venue_rows
from trader.finding import Finding
from trader.run_settings import Run, state_folder


async def examine(settings: Run, strategy: Strategy, path: Path, *, binds: bool = False) -> list[Finding]:
    """Look at all of it, in the order in which one would mend it."""
    folder = state_folder(settings, path)
    patient = Patient(settings, strategy, path.parent, folder)
    rows = state_rows(folder)
    rows += secret_rows(path)
    if settings.intake.ratings is not None and (path.parent / settings.intake.ratings).is_file():
        rows += [one for one in secret_rows((path.parent / settings.intake.ratings).resolve()) if one.state != "skip"]
    rows += await daemon_rows(settings, folder)
    rows += await database_rows(settings, folder)
    rows.append(await broker_row(settings, path.parent))
    rows += await venue_rows(patient, binds=binds)
    rows.append(limits_row(settings))
    rows += vendor_rows(settings, path.parent)
    return rows
