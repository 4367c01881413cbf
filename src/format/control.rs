//! The control file: what a running writer tells readers in other processes, and the mark of a clean close.
//!
//! ```text
//!   0  [8]  magic "BITACTRL"
//!   8  u64  durable sequence, stored without a call; always a lower bound of what is synced
//!  16  u64  1 where readers show only what is synced (`Durability::Sync`), 0 where they show whole frames
//!  24  u64  session: how often the store was opened to write
//! 512  clean close: [16] store id, u64 last sequence, u64 session, u64 end offset, u32 chain,
//!      u32 checksum of them
//! ```
//! The clean-close record is evidence: whatever it names had been durable, now and for ever. Where its session is that of the
//! file, nothing was written since.

use super::bytes::{Bytes, is_zero};
use super::checksum::crc32;
use super::record::set;
use crate::types::{Sequence, StoreId};

/// The file, bytes.
pub(crate) const BYTES: usize = 1024;
/// Where the durable sequence stands.
pub(crate) const DURABLE_OFFSET: u64 = 8;
/// Where the clean-close record stands: in a sector of its own.
pub(crate) const CLEAN_OFFSET: u64 = 512;

const MAGIC: &[u8; 8] = b"BITACTRL";
const CLEAN_BYTES: usize = 48;
const CLEAN_CHECKED_BYTES: usize = 44;

/// What a control file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) durable: Sequence,
    pub(crate) shows_synced_only: bool,
    pub(crate) session: u64,
    /// The last clean close of this store; `None` without one.
    pub(crate) clean: Option<CleanClose>,
}

/// How a log ended when it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CleanClose {
    /// The last sequence.
    pub(crate) last: Sequence,
    /// The session that closed it.
    pub(crate) session: u64,
    /// The offset in the last segment, after the close mark.
    pub(crate) offset: u64,
    /// The checksum of the last frame.
    pub(crate) chain: u32,
}

/// Where an index says the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    pub(crate) sequence: Sequence,
    pub(crate) offset: u64,
    pub(crate) chain: u32,
}

impl Control {
    /// The last sequence at the last clean close; zero without one.
    pub(crate) fn clean_sequence(&self) -> Sequence {
        self.clean.map_or(Sequence::ZERO, |clean| clean.last)
    }

    /// Whether the store was closed and not opened since, and the index ends exactly where the log does: then there is nothing
    /// to read. An index that misses but the close mark does not, for the next frame must follow the mark.
    pub(crate) fn is_covered_by(&self, end: LogEnd) -> bool {
        self.clean.is_some_and(|clean| {
            clean.session == self.session
                && (clean.last, clean.offset, clean.chain) == (end.sequence, end.offset, end.chain)
        })
    }
}

/// The first sector, for a writer that starts.
pub(crate) fn encode_start(durable: Sequence, shows_synced_only: bool, session: u64) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    set(&mut bytes, 0, MAGIC);
    set(&mut bytes, 8, &durable.get().to_le_bytes());
    set(&mut bytes, 16, &u64::from(shows_synced_only).to_le_bytes());
    set(&mut bytes, 24, &session.to_le_bytes());
    bytes
}

/// The clean-close record.
pub(crate) fn encode_clean(store_id: StoreId, clean: &CleanClose) -> Vec<u8> {
    let mut bytes = vec![0; CLEAN_BYTES];
    set(&mut bytes, 0, store_id.as_bytes());
    set(&mut bytes, 16, &clean.last.get().to_le_bytes());
    set(&mut bytes, 24, &clean.session.to_le_bytes());
    set(&mut bytes, 32, &clean.offset.to_le_bytes());
    set(&mut bytes, 40, &clean.chain.to_le_bytes());
    let checksum = crc32(bytes.get(..CLEAN_CHECKED_BYTES).unwrap_or_default());
    set(&mut bytes, CLEAN_CHECKED_BYTES, &checksum.to_le_bytes());
    bytes
}

/// What the file says; a file of another kind says nothing.
pub(crate) fn decode(bytes: &[u8], store_id: StoreId) -> Control {
    parse(bytes, store_id).unwrap_or_default()
}

/// What is damaged in the file, if anything; zeros are what a store has that was never closed.
pub(crate) fn damage(bytes: &[u8], store_id: StoreId) -> Option<&'static str> {
    let is_written = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| !is_zero(bytes));
    if !bytes.starts_with(MAGIC) && is_written(bytes.get(..MAGIC.len())) {
        return Some("another magic");
    }
    let start = usize::try_from(CLEAN_OFFSET).ok()?;
    let is_damaged = is_written(bytes.get(start..start + CLEAN_BYTES)) && parse_clean(bytes, store_id).is_none();
    is_damaged.then_some("the mark of a clean close with a checksum that fails, or of another store")
}

fn parse(bytes: &[u8], store_id: StoreId) -> Option<Control> {
    let mut fields = Bytes::new(bytes);
    fields.array::<8>().filter(|magic| magic == MAGIC)?;
    let durable = Sequence::new(fields.u64()?);
    let shows_synced_only = fields.u64()? == 1;
    let session = fields.u64()?;
    Some(Control { durable, shows_synced_only, session, clean: parse_clean(bytes, store_id) })
}

fn parse_clean(bytes: &[u8], store_id: StoreId) -> Option<CleanClose> {
    let record = bytes.get(usize::try_from(CLEAN_OFFSET).ok()?..)?.get(..CLEAN_BYTES)?;
    let mut fields = Bytes::new(record);
    let owner = StoreId::from_bytes(fields.array()?);
    let clean = CleanClose {
        last: Sequence::new(fields.u64()?),
        session: fields.u64()?,
        offset: fields.u64()?,
        chain: fields.u32()?,
    };
    let checksum = fields.u32()?;
    (owner == store_id && checksum == crc32(record.get(..CLEAN_CHECKED_BYTES)?)).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let store_id = StoreId::from_bytes([5; 16]);
        let mut bytes = vec![0; BYTES];
        assert_eq!(decode(&bytes, store_id), Control::default());
        assert_eq!(damage(&bytes, store_id), None);
        set(&mut bytes, 0, &encode_start(Sequence::new(9), true, 4));
        let started = Control { durable: Sequence::new(9), shows_synced_only: true, session: 4, clean: None };
        assert_eq!(decode(&bytes, store_id), started);
        let clean = CleanClose { last: Sequence::new(8), session: 4, offset: 568, chain: 77 };
        set(&mut bytes, 512, &encode_clean(store_id, &clean));
        assert_eq!(decode(&bytes, store_id), Control { clean: Some(clean), ..started });
        assert_eq!(decode(&bytes, StoreId::from_bytes([6; 16])).clean, None);
        assert_eq!(damage(&bytes, store_id), None);
        assert!(damage(&bytes, StoreId::from_bytes([6; 16])).is_some());
        let mut foreign = bytes.clone();
        foreign[0] ^= 1;
        assert_eq!(damage(&foreign, store_id), Some("another magic"));
        for byte in 512..512 + CLEAN_BYTES {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 1;
            assert_eq!(decode(&damaged, store_id).clean, None, "byte {byte}");
            assert!(damage(&damaged, store_id).is_some(), "byte {byte}");
        }
    }

    #[test]
    fn an_index_covers_a_closed_log_only_to_its_very_end() {
        let clean = CleanClose { last: Sequence::new(8), session: 4, offset: 568, chain: 77 };
        let control = Control { session: 4, clean: Some(clean), ..Control::default() };
        let end = LogEnd { sequence: Sequence::new(8), offset: 568, chain: 77 };
        assert!(control.is_covered_by(end));
        assert!(!control.is_covered_by(LogEnd { sequence: Sequence::new(7), ..end }));
        assert!(!control.is_covered_by(LogEnd { offset: 512, ..end }));
        assert!(!control.is_covered_by(LogEnd { chain: 76, ..end }));
        assert!(!Control { session: 5, ..control }.is_covered_by(end));
    }
}
