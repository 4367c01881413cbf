//! What a store stands on: a disk, and what makes its index.

use std::sync::Arc;

use crate::disk::{Disk, MemoryDisk, OsDisk};
use crate::index::{IndexBounds, IndexProvider, MemoryIndexProvider};

/// What a store stands on. The default is the operating system's files, and RocksDB where the feature `rocksdb` is on.
#[derive(Clone, Debug)]
pub struct Environment {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) index: Arc<dyn IndexProvider>,
}

impl Environment {
    /// An environment of these parts, such as a simulated disk.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, index: Arc<dyn IndexProvider>) -> Self {
        Self { disk, index }
    }

    /// The same, whose indices keep to these bounds where they can.
    pub(crate) fn bounded(&self, bounds: IndexBounds) -> Self {
        let index = self.index.bounded(bounds).unwrap_or_else(|| Arc::clone(&self.index));
        Self { index, ..self.clone() }
    }

    /// Everything in memory, gone when it is dropped.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Arc::new(MemoryDisk::default()), Arc::new(MemoryIndexProvider::default()))
    }
}

impl Default for Environment {
    fn default() -> Self {
        #[cfg(feature = "rocksdb")]
        let index: Arc<dyn IndexProvider> = Arc::new(crate::index::RocksIndexProvider);
        #[cfg(not(feature = "rocksdb"))]
        let index: Arc<dyn IndexProvider> = Arc::new(MemoryIndexProvider::default());
        Self::new(Arc::new(OsDisk), index)
    }
}
