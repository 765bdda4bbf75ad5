"""The tables of a run file, as SQL."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE attempts (id INTEGER PRIMARY KEY, began TEXT NOT NULL, seconds REAL NOT NULL DEFAULT 0);
CREATE TABLE problems (
    id TEXT PRIMARY KEY, position INTEGER NOT NULL, text TEXT NOT NULL, answer TEXT, metadata TEXT NOT NULL,
    fields TEXT NOT NULL DEFAULT '{}', state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'error'))
);
CREATE TABLE segments (
    problem TEXT NOT NULL REFERENCES problems (id), trace TEXT NOT NULL, parent TEXT, origin TEXT NOT NULL,
    text TEXT NOT NULL, token_ids BLOB, token_ends BLOB, logprobs BLOB, top_ids BLOB, top_logprobs BLOB,
    finish TEXT, reason TEXT, seed INTEGER, prompt_cached INTEGER, prompt_computed INTEGER, params TEXT NOT NULL,
    sequential INTEGER NOT NULL, metadata TEXT NOT NULL, facts TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (problem, trace)
);
CREATE TABLE traces (
    problem TEXT NOT NULL REFERENCES problems (id), trace TEXT NOT NULL, finish TEXT, tokens INTEGER NOT NULL,
    answer TEXT, correct INTEGER CHECK (correct IN (0, 1)), class INTEGER, PRIMARY KEY (problem, trace)
);
CREATE TABLE answers (
    problem TEXT PRIMARY KEY REFERENCES problems (id), answer TEXT, correct INTEGER CHECK (correct IN (0, 1)),
    tied INTEGER NOT NULL, trace TEXT
);
CREATE TABLE ledgers (problem TEXT PRIMARY KEY REFERENCES problems (id), spent TEXT NOT NULL);
CREATE TABLE errors (
    problem TEXT NOT NULL REFERENCES problems (id), attempt INTEGER REFERENCES attempts (id),
    reason TEXT NOT NULL
);
"""


FACTS = " facts TEXT NOT NULL DEFAULT '{}',"
"""What format 2 added: further facts of this toolkit about a segment, as a JSON object (what it waited for)."""

# Separate, because run files of the first release lack it: it is added when a file is opened for writing.
SCORES = """
CREATE TABLE IF NOT EXISTS scores (
    problem TEXT NOT NULL REFERENCES problems (id), key TEXT NOT NULL, trace TEXT NOT NULL, steps TEXT,
    tokens INTEGER NOT NULL, error TEXT, PRIMARY KEY (problem, key)
)
"""
