//! The statistics of a running writer, kept for other processes in the file `stats`.
//!
//! The housekeeping thread writes it, at most every few seconds and when the store closes: one write in place to a file of one
//! page, no sync, no name that changes, and nothing on the commit path or in an open. It is evidence of nothing and may be
//! deleted; one that is torn, or of another version, counts as none. It is written past the latch, which is the log's, but
//! not once that has tripped.
//!
//! ```text
//! 0  u32  CRC of all that follows, up to the length
//! 4  u32  length of the record
//! 8  the record (bincode): version, then its fields; zeros up to 4,096 bytes
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::stats::StatsRecord;
use crate::codec;
use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::log::files::read_whole;

/// The file, in the store's folder.
const STATS: &str = "stats";
/// The file's length: one page, so that no reader meets half of a write.
const FILE_BYTES: usize = 4096;
const HEAD_BYTES: usize = 8;
const VERSION: u16 = 1;
/// Not more often than this.
const EVERY: Duration = Duration::from_secs(5);

/// When the file is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keep {
    /// If anything has changed, and it was not written for a while.
    IfDue(Instant),
    /// Now, for the last time.
    Last,
}

/// The file as its writer has it.
#[derive(Debug, Default)]
pub(super) struct StatsFile {
    file: Option<Arc<dyn DiskFile>>,
    /// When it was written, or this began.
    since: Option<Instant>,
    /// What had been counted then.
    counted: Counted,
}

/// What tells whether anything has changed.
type Counted = (u64, u64, u64);

impl StatsFile {
    /// Writes the file if it is time. That it cannot be written is no failure of the store.
    pub(super) fn keep(&mut self, shared: &Shared, when: Keep) {
        let measures = &shared.files.measures;
        let counted = (measures.commits.get(), measures.ingests.get(), measures.full_refusals.get());
        if let Keep::IfDue(now) = when {
            let since = *self.since.get_or_insert(now);
            if counted == self.counted || now - since < EVERY {
                return;
            }
            self.since = Some(now);
        }
        if shared.latch.is_tripped() {
            return;
        }
        self.counted = counted;
        let record = StatsRecord {
            written_at: shared.options.clock.now(),
            session: shared.session,
            process_id: std::process::id(),
            is_last: matches!(when, Keep::Last),
            stats: shared.stats(),
        };
        if let Err(error) = self.write(shared.environment.disk.as_ref(), &shared.root, &record) {
            tracing::debug!(%error, "the statistics could not be kept");
        }
    }

    fn write(&mut self, disk: &dyn Disk, root: &Path, record: &StatsRecord) -> std::io::Result<()> {
        let bytes = encode(record).ok_or_else(|| std::io::Error::other("they are too long"))?;
        let file = match &self.file {
            Some(file) => file,
            None => {
                let path = root.join(STATS);
                let mode = if disk.kind(&path)?.is_some() { OpenMode::ReadWrite } else { OpenMode::CreateNew };
                self.file.insert(disk.open(&path, mode)?)
            }
        };
        disk::write_all_at(file.as_ref(), &[&bytes], 0)
    }
}

fn encode(record: &StatsRecord) -> Option<Vec<u8>> {
    let body = codec::encode(&(VERSION, record)).ok()?;
    let length = u32::try_from(body.len()).ok()?.to_le_bytes();
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&length);
    checksum.update(&body);
    let mut bytes = [&checksum.finalize().to_le_bytes()[..], &length, &body].concat();
    if bytes.len() > FILE_BYTES {
        return None;
    }
    bytes.resize(FILE_BYTES, 0);
    Some(bytes)
}

fn decode(bytes: &[u8]) -> Option<StatsRecord> {
    let (checksum, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*rest.first_chunk()?)).ok()?;
    let covered = rest.get(..length.checked_add(HEAD_BYTES - 4)?)?;
    if crc32fast::hash(covered) != u32::from_le_bytes(*checksum) {
        return None;
    }
    // The version alone first: the rest of another one is of another shape.
    let body = covered.get(HEAD_BYTES - 4..)?;
    match codec::decode::<(u16, StatsRecord)>(body) {
        Ok((VERSION, record)) => Some(record),
        _ => None,
    }
}

/// What the last writer kept; `None` where there is nothing that can be read.
pub(super) fn read(disk: &dyn Disk, root: &Path) -> Option<StatsRecord> {
    decode(&read_whole(disk, &root.join(STATS)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Distribution;
    use crate::store::StoreStats;
    use crate::types::Timestamp;

    fn record() -> StatsRecord {
        let largest =
            Distribution { count: u64::MAX, sum: u64::MAX, p50: 1 << 40, p90: 1 << 40, p99: 1 << 40, max: u64::MAX };
        let stats = StoreStats { commits: 7, sync_nanos: largest, commit_nanos: largest, ..StoreStats::default() };
        StatsRecord { written_at: Timestamp::from_micros(5), session: 3, process_id: 9, is_last: true, stats }
    }

    #[test]
    fn what_is_kept_is_read() {
        let bytes = encode(&record()).unwrap();
        assert_eq!(bytes.len(), FILE_BYTES);
        assert_eq!(decode(&bytes), Some(record()));
    }

    #[test]
    fn what_is_torn_or_of_another_version_counts_as_none() {
        let bytes = encode(&record()).unwrap();
        let length = HEAD_BYTES + usize::try_from(u32::from_le_bytes(bytes[4..8].try_into().unwrap())).unwrap();
        for at in 0..length {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "{at} bytes");
        }
        assert_eq!(decode(&[0; FILE_BYTES]), None);
        let body = codec::encode(&(VERSION + 1, record())).unwrap();
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let checksum = crc32fast::hash(&[&length[..], &body].concat()).to_le_bytes();
        assert_eq!(decode(&[&checksum[..], &length, &body].concat()), None);
    }
}
