"""Adapters: one outside thing each, the only importer of its library."""
