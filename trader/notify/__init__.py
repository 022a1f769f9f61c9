"""Notifications: what a person is told about a running bot, when and where, and who may command it from afar.

Pure like the core: facts, statuses and instants in, events, letters and verdicts out. No socket, no file, no clock; the shell
around it is `trader/notifying.py`.
"""
