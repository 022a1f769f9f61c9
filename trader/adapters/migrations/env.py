"""What alembic runs: it writes the statements of the missing versions into the buffer that it was given."""

from alembic import context

asked = context.config.attributes
context.configure(dialect_name=asked["dialect"], output_buffer=asked["buffer"], as_sql=True, transactional_ddl=False)
context.run_migrations()
