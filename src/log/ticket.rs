//! A sync that is made beside the writer, which goes on meanwhile.

use std::sync::Arc;

use super::files::LogFiles;
use crate::disk::DiskFile;
use crate::error::Result;
use crate::types::Sequence;

/// A sync that is made beside the writer.
#[derive(Debug)]
pub(crate) struct SyncTicket {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) segment: Sequence,
    pub(super) through: Sequence,
    /// Where the last frame ends that it covers.
    pub(super) end: u64,
}

impl SyncTicket {
    /// Makes the sync.
    ///
    /// # Errors
    /// `Io`: it failed; nothing may be written any more.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|source| LogFiles::failed_write(self.segment, "sync", source))
    }
}
