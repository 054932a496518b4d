"""The ledger's tables, in the state store: the migrations that make them, and nothing else."""

import sqlite3

# Counters are decimal text: a sum of pico-USD may outgrow 64 bits (9.2 million USD). `base_*` is
# what was folded into an account when its old transfers were let go.
TABLES = (
    """
    CREATE TABLE ledger_accounts (
      number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, until_us INTEGER,
      debits_pending TEXT NOT NULL, debits_posted TEXT NOT NULL,
      credits_pending TEXT NOT NULL, credits_posted TEXT NOT NULL,
      base_debits TEXT NOT NULL DEFAULT '0', base_credits TEXT NOT NULL DEFAULT '0'
    ) STRICT
    """,
    # Open holds alone: a row goes in the transaction that writes its transfers.
    """
    CREATE TABLE ledger_holds (
      id BLOB NOT NULL CHECK (length(id) = 16), leg INTEGER NOT NULL, org BLOB NOT NULL,
      debit INTEGER NOT NULL REFERENCES ledger_accounts (number),
      credit INTEGER NOT NULL REFERENCES ledger_accounts (number),
      amount_pico INTEGER NOT NULL CHECK (amount_pico >= 0),
      worst_pico INTEGER NOT NULL CHECK (worst_pico >= amount_pico),
      input_pico INTEGER NOT NULL CHECK (input_pico >= 0),
      made_at_us INTEGER NOT NULL, segment INTEGER NOT NULL, frame_offset INTEGER NOT NULL,
      PRIMARY KEY (id, leg)
    ) STRICT, WITHOUT ROWID
    """,
    # Only ever added to. The key makes a second resolution of a hold impossible.
    """
    CREATE TABLE ledger_transfers (
      id BLOB NOT NULL CHECK (length(id) = 16), step INTEGER NOT NULL, leg INTEGER NOT NULL,
      kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 6),
      debit INTEGER NOT NULL, credit INTEGER NOT NULL CHECK (credit <> debit),
      held_pico INTEGER NOT NULL CHECK (held_pico >= 0),
      posted_pico INTEGER NOT NULL CHECK (posted_pico >= 0), at_us INTEGER NOT NULL,
      PRIMARY KEY (id, step, leg)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE ledger_events (
      event_id TEXT PRIMARY KEY, org BLOB NOT NULL, kind TEXT NOT NULL,
      amount_pico INTEGER NOT NULL, reference TEXT NOT NULL, transfer_id BLOB NOT NULL,
      at_us INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE ledger_lines (org BLOB PRIMARY KEY, limit_pico INTEGER NOT NULL) STRICT
    """,
    """
    CREATE TABLE ledger_disputes (
      id TEXT PRIMARY KEY, org BLOB NOT NULL, charge_id TEXT NOT NULL,
      amount_pico INTEGER NOT NULL, currency TEXT NOT NULL, reason TEXT NOT NULL,
      status TEXT NOT NULL, event_id TEXT NOT NULL, created_at_us INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE ledger_disallowed (
      org BLOB NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, request_id TEXT NOT NULL,
      at_us INTEGER NOT NULL, PRIMARY KEY (org, provider, model)
    ) STRICT
    """,
    """
    CREATE TABLE ledger_budgets (
      id TEXT PRIMARY KEY, org BLOB NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL,
      value TEXT NOT NULL, period TEXT NOT NULL,
      limit_pico INTEGER NOT NULL CHECK (limit_pico >= 0),
      UNIQUE (org, scope, name, value, period)
    ) STRICT
    """,
    # What somebody should look at: charged without a record, a budget passed, an overage.
    """
    CREATE TABLE ledger_flags (
      number INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, org BLOB NOT NULL,
      kind TEXT NOT NULL, hold_id BLOB NOT NULL, amount_pico INTEGER NOT NULL, detail TEXT NOT NULL
    ) STRICT
    """,
)


def m002_ledger(connection: sqlite3.Connection) -> None:
    for table in TABLES:
        connection.execute(table)


# Payments by their ids at the payment service, so that refunds and disputes find whose they are.
# `returned_cents`: how much of the money went back.
PAYMENTS = (
    """
    CREATE TABLE ledger_payments (
      intent TEXT PRIMARY KEY, charge_id TEXT NOT NULL, customer TEXT NOT NULL, org BLOB NOT NULL,
      credits_pico INTEGER NOT NULL CHECK (credits_pico > 0),
      total_cents INTEGER NOT NULL CHECK (total_cents >= 0),
      returned_cents INTEGER NOT NULL CHECK (returned_cents >= 0), at_us INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX ledger_payments_charge ON ledger_payments (charge_id)",
    "CREATE INDEX ledger_payments_customer ON ledger_payments (customer)",
    "CREATE INDEX ledger_events_org ON ledger_events (org, at_us)",
)


def m004_payments(connection: sqlite3.Connection) -> None:
    for statement in PAYMENTS:
        connection.execute(statement)
