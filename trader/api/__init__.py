"""The control API and the dashboard: a process beside the bot that reads its journal and sends it commands."""
