"""The truth about the knowledge base: pages, their chunks and vectors, in one SQLite file.

The index in Chroma is made from this and can be made again. All methods block; any thread may call them.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from svc import cache, embedding, errors, knowledge

SCHEMA_VERSION = 1
LOCK_WAIT_S = 10.0
"""How long a write waits for another process that has the file open."""
SCHEMA = """
CREATE TABLE pages (
    site TEXT NOT NULL,              -- folder, later wiki:<host>
    key TEXT NOT NULL,               -- what stays the same when a page changes: a path, a page id
    hash TEXT NOT NULL,              -- of the bytes it was read from
    title TEXT NOT NULL,
    source TEXT NOT NULL,
    licence TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (site, key)
) WITHOUT ROWID;
CREATE TABLE chunks (
    id TEXT NOT NULL,                -- knowledge.Chunk.id
    site TEXT NOT NULL,
    page TEXT NOT NULL,
    title TEXT NOT NULL,
    section TEXT NOT NULL,
    text TEXT NOT NULL,
    source TEXT NOT NULL,
    licence TEXT NOT NULL,
    embedder TEXT NOT NULL DEFAULT '',   -- whose vector it is; '' = none yet
    vector BLOB,                     -- float32, little endian
    PRIMARY KEY (id),
    FOREIGN KEY (site, page) REFERENCES pages (site, key) ON DELETE CASCADE
);
CREATE INDEX chunks_of_page ON chunks (site, page);
CREATE INDEX chunks_of_embedder ON chunks (embedder);
"""
CHUNK = "id, text, title, section, source, licence"


class Store:
    """Opens `path`, creating it where needed; raises ConfigError when it is damaged. Close it when done."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise errors.ConfigError(
                f"{path} can't be used ({error}): move it away, and it is made anew from the sources"
            ) from error

    def _prepare(self) -> None:
        db = self._connection
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            db.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
        elif found != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"written by another version of quahog, schema {found}")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._connection:
            yield self._connection

    # Pages

    def hashes(self, site: str, prefix: str = "") -> dict[str, str]:
        """Key -> hash of every page of a site whose key starts with `prefix`."""
        with self._transaction() as db:
            rows = db.execute("SELECT key, hash FROM pages WHERE site = ?", (site,))
            return {key: hash_ for key, hash_ in rows if key.startswith(prefix)}

    def put(
        self, site: str, key: str, hash_: str, chunks: Sequence[knowledge.Chunk], tags: Iterable[str] = ()
    ) -> None:
        """Store a page as it is now: unchanged chunks keep their vectors, others are added and removed."""
        first = chunks[0]
        with self._transaction() as db:
            db.execute(
                "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " hash = excluded.hash, title = excluded.title, source = excluded.source,"
                " licence = excluded.licence, tags = excluded.tags",
                (site, key, hash_, first.title, first.source, first.licence, ",".join(tags)),
            )
            rows = db.execute("SELECT id FROM chunks WHERE site = ? AND page = ?", (site, key))
            held = {row[0] for row in rows}
            wanted = {chunk.id: chunk for chunk in chunks}
            db.executemany("DELETE FROM chunks WHERE id = ?", [(id_,) for id_ in held - wanted.keys()])
            db.executemany(
                f"INSERT INTO chunks ({CHUNK}, site, page) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (c.id, c.text, c.title, c.section, c.source, c.licence, site, key)
                    for c in wanted.values()
                    if c.id not in held
                ],
            )

    def forget(self, site: str, keys: Iterable[str]) -> None:
        """Remove pages and their chunks."""
        with self._transaction() as db:
            db.executemany("DELETE FROM pages WHERE site = ? AND key = ?", [(site, key) for key in keys])

    # Vectors

    def without_vector(self, embedder: str, limit: int) -> list[knowledge.Chunk]:
        """Chunks that this embedder has yet to see."""
        with self._transaction() as db:
            rows = db.execute(f"SELECT {CHUNK} FROM chunks WHERE embedder <> ? LIMIT ?", (embedder, limit))
            return [knowledge.Chunk(*row) for row in rows]

    def keep(self, embedder: str, chunks: Sequence[knowledge.Chunk], vectors: embedding.Vectors) -> None:
        """Store one vector per chunk, in order."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE chunks SET embedder = ?, vector = ? WHERE id = ?",
                [
                    (embedder, vector.astype("<f4").tobytes(), chunk.id)
                    for chunk, vector in zip(chunks, vectors, strict=True)
                ],
            )

    def drop_vectors(self, site: str, prefix: str = "") -> None:
        """Make every chunk of these pages be embedded again."""
        keys = self.hashes(site, prefix)
        with self._transaction() as db:
            db.executemany(
                "UPDATE chunks SET embedder = '', vector = NULL WHERE site = ? AND page = ?",
                [(site, key) for key in keys],
            )

    # The whole

    def ids(self) -> set[str]:
        with self._transaction() as db:
            return {row[0] for row in db.execute("SELECT id FROM chunks")}

    def rows(self, ids: Sequence[str]) -> tuple[list[knowledge.Chunk], embedding.Vectors]:
        """These chunks (those that still exist) and their vectors, row by row."""
        marks = ", ".join("?" * len(ids))
        with self._transaction() as db:
            found = db.execute(
                f"SELECT {CHUNK}, vector FROM chunks WHERE id IN ({marks}) AND vector IS NOT NULL", tuple(ids)
            ).fetchall()
        vectors = np.array([np.frombuffer(row[-1], dtype="<f4") for row in found], dtype=np.float32)
        return [knowledge.Chunk(*row[:-1]) for row in found], vectors

    def counts(self) -> tuple[int, int]:
        """Pages and chunks."""
        with self._transaction() as db:
            (pages,) = db.execute("SELECT count(*) FROM pages").fetchone()
            (chunks,) = db.execute("SELECT count(*) FROM chunks").fetchone()
            return pages, chunks


def version(embedder: str, ids: Iterable[str]) -> str:
    """The version of a knowledge base that consists of these chunks: fit for a subject and a cache key."""
    return cache.digest(embedder, sorted(ids))
