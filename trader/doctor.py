"""`trader doctor`: everything that a run needs, looked at before it starts, each with what was found and what to do about it.

It changes nothing, except that `binds` binds the key; it makes no folder and no database, and prints no secret.
"""

from dataclasses import replace
from pathlib import Path

from trader.core.view import Strategy
from trader.doctor_feeds import broker_row, database_rows, vendor_rows
from trader.doctor_house import daemon_rows, limits_row, notify_row, secret_rows, state_rows
from trader.doctor_venue import Patient, venue_rows
from trader.finding import Finding
from trader.run_settings import Run, state_folder
from trader.several_settings import Setup


async def examine(
    settings: Run, strategy: Strategy, path: Path, *, binds: bool = False, setup: Setup | None = None
) -> list[Finding]:
    """Look at all of it, in the order in which one would mend it; each account and each mount of a setup with several."""
    folder = state_folder(settings, path)
    rows = state_rows(folder)
    rows += secret_rows(path)
    if settings.intake.ratings is not None and (path.parent / settings.intake.ratings).is_file():
        rows += [one for one in secret_rows((path.parent / settings.intake.ratings).resolve()) if one.state != "skip"]
    rows += await daemon_rows(settings, folder)
    rows += await database_rows(settings, folder)
    rows.append(await broker_row(settings, path.parent))
    if setup is None or setup.is_one:
        rows += await venue_rows(Patient(settings, strategy, path.parent, folder), binds=binds)
        rows.append(limits_row(settings))
    else:
        rows += await _several_rows(setup, path.parent, folder, binds=binds)
    rows += vendor_rows(settings, path.parent)
    rows.append(notify_row(settings, path.parent))
    return rows


async def _several_rows(setup: Setup, home: Path, folder: Path, *, binds: bool) -> list[Finding]:
    """The venue of each account, by its name where there are several, and the limits of each mount."""
    rows = list[Finding]()
    for name, account in setup.accounts.items():
        ours = tuple(one for one in setup.mounts if one.settings.account.name == name)
        patient = Patient(account, ours[0].strategy, home, folder, setup.label_of(name), ours, setup.earlier_of(name))
        found = await venue_rows(patient, binds=binds)
        rows += [replace(one, name=f"{name}: {one.name}") for one in found] if len(setup.accounts) > 1 else found
    for one in setup.mounts:
        row = limits_row(one.settings)
        rows.append(replace(row, name=f"{row.name} {one.settings.name}"))
    return rows
