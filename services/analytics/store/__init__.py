"""
The log store: tables, SQL and engines.

`logs.py` says what a store is, `sql_store.py` is one, on any engine of `engine.py`: `chdb.py` is ClickHouse in this
process. All SQL is in `schema.py`, `sql.py` and `conditions.py`.
"""
