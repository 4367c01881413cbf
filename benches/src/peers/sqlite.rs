//! SQLite: one table of events with an index over stream and version; one connection writes, another reads.

use std::path::Path;
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::positions::{Counters, Position, look_at, stream_number};
use super::{BOTH, CACHE_BYTES, Peer};
use crate::subject::{Durability, Subject};

const TABLES: &str = "
    create table if not exists events(
        seq integer primary key, stream integer not null, version integer not null, payload blob not null);
    create unique index if not exists streams on events(stream, version);";
const INSERT: &str = "insert into events(seq, stream, version, payload) values (?1, ?2, ?3, ?4)";

struct Writer {
    connection: Connection,
    counters: Counters,
}

struct Sqlite {
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "SQLite",
    open,
    durabilities: BOTH,
    has_group_commit: false,
    note: "a table with an index over stream and version, WAL, `synchronous` FULL or OFF, cache of 128 MiB; no \
           checksum is checked on reads; writers queue for one connection, each with a sync of its own",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    let connection = connect(folder, durability);
    connection.execute_batch(TABLES).expect("SQLite makes its tables");
    let last: Option<i64> =
        connection.query_row("select max(seq) from events", [], |row| row.get(0)).expect("SQLite reads");
    let events = last.map_or(0, |seq| u64::try_from(seq).expect("sequences begin at 0") + 1);
    let writer = Mutex::new(Writer { connection, counters: Counters::of(events) });
    Box::new(Sqlite { writer, reader: Mutex::new(connect(folder, durability)) })
}

fn connect(folder: &Path, durability: Durability) -> Connection {
    let connection = Connection::open(folder.join("events.sqlite")).expect("SQLite opens");
    let synchronous = match durability {
        Durability::Sync => "FULL",
        Durability::Buffered => "OFF",
    };
    connection
        .execute_batch(&format!(
            "pragma journal_mode = WAL; pragma synchronous = {synchronous}; pragma cache_size = -{};",
            CACHE_BYTES / 1024
        ))
        .expect("SQLite takes its options");
    connection
}

fn last_version(connection: &Connection, stream: u32) -> Option<u32> {
    let mut last = connection
        .prepare_cached("select version from events where stream = ?1 order by version desc limit 1")
        .expect("SQLite prepares");
    last.query_row([stream], |row| row.get(0)).optional().expect("SQLite reads")
}

fn insert(connection: &Connection, positions: &[Position], payload: &[u8]) {
    let mut insert = connection.prepare_cached(INSERT).expect("SQLite prepares");
    for position in positions {
        let sequence = i64::try_from(position.sequence).expect("a sequence fits");
        insert.execute(params![sequence, position.stream, position.version, payload]).expect("SQLite writes");
    }
}

impl Subject for Sqlite {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let writer = &mut *self.writer.lock().expect("no thread panicked");
        let positions = writer.counters.assign(streams, |stream| last_version(&writer.connection, stream));
        // A lone insert is a transaction by itself, and two statements less.
        if positions.len() == 1 {
            return insert(&writer.connection, &positions, payload);
        }
        let transaction =
            writer.connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("SQLite begins");
        insert(&transaction, &positions, payload);
        transaction.commit().expect("SQLite commits");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        let reader = self.reader.lock().expect("no thread panicked");
        let mut events =
            reader.prepare_cached("select stream, version, payload from events order by seq").expect("SQLite prepares");
        let mut rows = events.query([]).expect("SQLite reads");
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = rows.next().expect("SQLite reads") {
            count += 1;
            bytes += look_at(row.get_ref(2).expect("a payload").as_blob().expect("bytes"));
        }
        Some((count, bytes))
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        let reader = self.reader.lock().expect("no thread panicked");
        let mut events = reader
            .prepare_cached("select seq, version, payload from events where stream = ?1 order by version")
            .expect("SQLite prepares");
        let mut rows = events.query([stream_number(stream)]).expect("SQLite reads");
        let mut count = 0;
        while let Some(row) = rows.next().expect("SQLite reads") {
            count += 1;
            look_at(row.get_ref(2).expect("a payload").as_blob().expect("bytes"));
        }
        Some(count)
    }

    fn close(self: Box<Self>) {
        let Sqlite { writer, reader } = *self;
        reader.into_inner().expect("no thread panicked").close().expect("SQLite closes");
        writer.into_inner().expect("no thread panicked").connection.close().expect("SQLite closes");
    }
}
