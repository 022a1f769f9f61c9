"""How the journal's tables came to be, one version after the other; `journal_migrations` runs what is missing."""
