"""Which moment of its schedule each job was last run for, in the state store."""

import sqlite3


def m050_schedule(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE schedule (job TEXT PRIMARY KEY, served_s INTEGER NOT NULL) STRICT"
    )


def read_served(connection: sqlite3.Connection) -> dict[str, int]:
    """By job, in seconds since the epoch."""
    return dict(connection.execute("SELECT job, served_s FROM schedule"))


def put_served(connection: sqlite3.Connection, job: str, served_s: int) -> None:
    connection.execute(
        "INSERT INTO schedule VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET "
        "served_s = excluded.served_s",
        (job, served_s),
    )
