"""What is said of the tables that user SQL may ask is what they are."""

import duckdb
import pytest

from storage.sandbox_schema import SHOWN_TABLES, ShownTable
from storage.sandbox_tables import SHOWN, create_tables_of
from storage.schema import STORE, ViewState, create_tables

ORG = "00000000-0000-0000-0000-000000000001"


def test_every_table_is_described() -> None:
    assert {table.name for table in SHOWN_TABLES} == SHOWN
    assert all(table.description for table in SHOWN_TABLES)


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("table", SHOWN_TABLES, ids=lambda table: table.name)
def test_columns_have_the_types_that_are_told(table: ShownTable, edited: bool) -> None:
    connection = duckdb.connect()
    try:
        connection.execute(f"ATTACH ':memory:' AS {STORE}")
        for statement in create_tables():
            connection.execute(statement)
        for statement in create_tables_of(ORG, ViewState(edited=edited), bodies=True):
            connection.execute(statement)
        found = connection.execute(f"DESCRIBE {table.name}").fetchall()
    finally:
        connection.close()
    told = {column.name: column.kind for column in table.columns}
    assert told == {name: kind.replace('"', "") for name, kind, *_ in found}
