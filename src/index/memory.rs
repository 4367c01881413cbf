//! An index in memory, for simulations, for tests, and for builds without RocksDB.
//!
//! It keeps what an index on disk would, by folder, across open and close within the process, in the same encoding.
//!
//! Fault model of a power cut: a batch is there whole once `ingest` returned, and with it every change of the state
//! made before; changes of the state made since the last `ingest` or `close` may be lost, but only the latest ones, in
//! their order. A kill loses nothing. Not modelled: a file system that loses what was synced, and damage that reading
//! does not find; whatever is damaged is found unusable as a whole.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::leaf::{Mutex, RwLock};
use crate::types::{Sequence, StoreId, StreamId, Version};

use super::keys::{self, STATE_SEQUENCE_KEY};
use super::lookup::{self, Entries, Start, Visit};
use super::{
    Direction, Index, IndexBatch, IndexEvidence, IndexProvider, KeyEntry, Place, StateWrite, StreamHead, Watermark,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Both families as readers see them. Cheap to clone; a writer copies a map that somebody else still holds.
#[derive(Clone, Default)]
struct View {
    index: Arc<Map>,
    state: Arc<Map>,
}

/// What a folder holds.
#[derive(Clone)]
struct Content {
    store_id: StoreId,
    view: View,
    /// The state as of the last `ingest` or `close`.
    #[cfg(any(test, feature = "simulation"))]
    state_durable: Arc<Map>,
    /// What was written to the state since, in order.
    #[cfg(any(test, feature = "simulation"))]
    state_pending: Vec<(Vec<StateWrite>, Sequence)>,
    /// Why it cannot be read, where a test damaged it.
    damage: Option<String>,
}

impl Content {
    fn new(store_id: StoreId) -> Self {
        Self {
            store_id,
            view: View::default(),
            #[cfg(any(test, feature = "simulation"))]
            state_durable: Arc::default(),
            #[cfg(any(test, feature = "simulation"))]
            state_pending: Vec::new(),
            damage: None,
        }
    }

    /// Changes the state; a power cut may undo it until it is settled.
    fn write_state(&mut self, writes: &[StateWrite], sequence: Sequence) -> Result<()> {
        apply(&mut self.view.state, writes, sequence)?;
        #[cfg(any(test, feature = "simulation"))]
        self.state_pending.push((writes.to_vec(), sequence));
        Ok(())
    }

    /// Makes the state durable, as far as it was written.
    fn settle(&mut self) {
        #[cfg(any(test, feature = "simulation"))]
        {
            self.state_durable = Arc::clone(&self.view.state);
            self.state_pending.clear();
        }
    }

    fn check(&self, store_id: StoreId) -> Result<()> {
        if let Some(damage) = &self.damage {
            return Err(Error::new(ErrorKind::Io, format!("the index is damaged: {damage}")));
        }
        if self.store_id == store_id { Ok(()) } else { Err(lookup::foreign(self.store_id, store_id)) }
    }
}

impl Entries for Arc<Map> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(Map::get(self, key).cloned())
    }

    fn scan(&self, prefix: &[u8], start: Start<'_>, direction: Direction, visit: Visit<'_>) -> Result<()> {
        let after = lookup::after_prefix(prefix);
        let mut lower = Bound::Included(prefix);
        let mut upper = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        match (start, direction) {
            (Start::End, _) => {}
            (Start::At(key), Direction::Forwards) => lower = Bound::Included(key.max(prefix)),
            (Start::Covering(key), Direction::Forwards) => {
                // Where the key is beyond the prefix, what covers it is the last entry.
                let before =
                    if after.as_deref().is_some_and(|after| key >= after) { upper } else { Bound::Included(key) };
                let covering = if key < prefix { None } else { self.range::<[u8], _>((lower, before)).next_back() };
                if let Some((key, _)) = covering {
                    lower = Bound::Included(key);
                }
            }
            (Start::At(key) | Start::Covering(key), Direction::Backwards) => {
                if key < prefix {
                    return Ok(());
                }
                if after.as_deref().is_none_or(|after| key < after) {
                    upper = Bound::Included(key);
                }
            }
        }
        // A range whose bounds have crossed is empty here and a panic there.
        if let (Bound::Included(lower), Bound::Excluded(upper)) = (lower, upper)
            && lower >= upper
        {
            return Ok(());
        }
        let range = self.range::<[u8], _>((lower, upper));
        let mut show = |(key, value): (&Vec<u8>, &Vec<u8>)| visit(key, value);
        match direction {
            Direction::Forwards => walk(range, &mut show),
            Direction::Backwards => walk(range.rev(), &mut show),
        }
    }
}

fn walk<T>(entries: impl Iterator<Item = T>, show: &mut dyn FnMut(T) -> Result<ControlFlow<()>>) -> Result<()> {
    for entry in entries {
        if show(entry)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn apply(state: &mut Arc<Map>, writes: &[StateWrite], sequence: Sequence) -> Result<()> {
    let highest = lookup::state_sequence(state)?.max(sequence);
    let state = Arc::make_mut(state);
    for write in writes {
        match write {
            StateWrite::Put(key, value) => drop(state.insert(keys::state_key(key), value.clone())),
            StateWrite::Delete(key) => drop(state.remove(&keys::state_key(key))),
        }
    }
    state.insert(STATE_SEQUENCE_KEY.to_vec(), keys::encode_state_sequence(highest));
    Ok(())
}

type Shared = Arc<Mutex<Content>>;

/// Makes indices in memory. Clones share what they made.
#[derive(Clone, Default)]
pub struct MemoryIndexProvider {
    folders: Arc<Mutex<BTreeMap<PathBuf, Shared>>>,
    ingest_failure: Arc<Mutex<Option<ErrorKind>>>,
}

/// Prints the folders, not what they hold.
impl std::fmt::Debug for MemoryIndexProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let folders: Vec<_> = self.folders.lock().keys().cloned().collect();
        f.debug_struct("MemoryIndexProvider").field("folders", &folders).finish_non_exhaustive()
    }
}

impl MemoryIndexProvider {
    fn folder(&self, directory: &Path) -> Option<Shared> {
        self.folders.lock().get(directory).cloned()
    }
}

impl IndexProvider for MemoryIndexProvider {
    fn evidence(&self, directory: &Path, store_id: StoreId) -> IndexEvidence {
        let Some(content) = self.folder(directory) else { return IndexEvidence::Absent };
        let content = content.lock();
        let read = || -> Result<IndexEvidence> {
            content.check(store_id)?;
            let watermark = lookup::watermark(&content.view.index, store_id)?;
            Ok(IndexEvidence::Present { watermark, state_sequence: lookup::state_sequence(&content.view.state)? })
        };
        read().unwrap_or_else(|error| IndexEvidence::Unusable(error.to_string()))
    }

    fn open(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        let content = {
            let mut folders = self.folders.lock();
            let content = folders.entry(directory.to_owned());
            Arc::clone(content.or_insert_with(|| Arc::new(Mutex::new(Content::new(store_id)))))
        };
        let index = MemoryIndex::new(content, store_id, Some(Arc::clone(&self.ingest_failure)))?;
        Ok(Arc::new(index))
    }

    fn open_read_only(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        let content = self
            .folder(directory)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no index in {}", directory.display())))?;
        Ok(Arc::new(MemoryIndex::new(content, store_id, None)?))
    }

    fn remove(&self, directory: &Path) -> Result<()> {
        self.folders.lock().remove(directory);
        Ok(())
    }

    fn replace(&self, from: &Path, to: &Path) -> Result<()> {
        let mut folders = self.folders.lock();
        match folders.remove(from) {
            Some(content) => drop(folders.insert(to.to_owned(), content)),
            None => drop(folders.remove(to)),
        }
        Ok(())
    }
}

#[cfg(test)]
impl MemoryIndexProvider {
    /// Changes the entries of the index in `directory` behind its back.
    pub(crate) fn edit(&self, directory: &Path, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        if let Some(content) = self.folder(directory) {
            change(Arc::make_mut(&mut content.lock().view.index));
        }
    }

    /// Makes the index in `directory` one that the version before this format wrote, as far as its watermark tells.
    pub(crate) fn make_older(&self, directory: &Path) {
        self.edit(directory, |entries| {
            let Some(watermark) = entries.get_mut(keys::WATERMARK_KEY) else { return };
            watermark[0] -= 1;
            let content = watermark.len() - 4;
            let crc = crc32fast::hash(&watermark[..content]);
            watermark[content..].copy_from_slice(&crc.to_le_bytes());
        });
    }
}

/// What all folders of a [`MemoryIndexProvider`] held at one moment.
#[cfg(any(test, feature = "simulation"))]
#[derive(Clone)]
pub struct MemoryIndexImage(BTreeMap<PathBuf, Content>);

#[cfg(test)]
impl MemoryIndexImage {
    /// Whether there was no index at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(any(test, feature = "simulation"))]
impl std::fmt::Debug for MemoryIndexImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a simulation does to indices.
#[cfg(any(test, feature = "simulation"))]
impl MemoryIndexProvider {
    /// What a power cut now could leave; which of the possible outcomes, `seed` decides. Indices that are open go on
    /// over what they had, and do not reach the result.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        self.crash_keeping(|number, possible| usize::try_from(mix(seed ^ mix(number)) % possible).unwrap_or(usize::MAX))
    }

    /// What a power cut now leaves that keeps the first so many of the changes which it may undo.
    #[must_use]
    pub fn crash_choosing(&self, kept: usize) -> Self {
        self.crash_keeping(|_, _| kept)
    }

    /// How many changes a power cut now may undo, in the folder where these are most.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.folders.lock().values().map(|content| content.lock().state_pending.len()).max().unwrap_or(0)
    }

    /// `kept` is asked with a folder's number and with how many outcomes there are.
    fn crash_keeping(&self, kept: impl Fn(u64, u64) -> usize) -> Self {
        let crashed = self.kill();
        for (number, content) in (0u64..).zip(crashed.folders.lock().values()) {
            let mut content = content.lock();
            let kept = kept(number, content.state_pending.len() as u64 + 1);
            let pending = std::mem::take(&mut content.state_pending);
            content.view.state = Arc::clone(&content.state_durable);
            for (writes, sequence) in pending.iter().take(kept) {
                // The sequence that this reads is this module's own.
                if let Err(error) = content.write_state(writes, *sequence) {
                    content.damage = Some(error.to_string());
                }
            }
            content.settle();
        }
        crashed
    }

    /// What a kill now leaves: everything. Indices that are open do not reach the result.
    #[must_use]
    pub fn kill(&self) -> Self {
        let killed = Self::default();
        killed.restore(&self.snapshot());
        killed
    }

    /// What all folders hold now.
    #[must_use]
    pub fn snapshot(&self) -> MemoryIndexImage {
        let folders = self.folders.lock();
        MemoryIndexImage(folders.iter().map(|(path, content)| (path.clone(), content.lock().clone())).collect())
    }

    /// Puts an image in the place of all folders. Indices that are open go on over what they had.
    pub fn restore(&self, image: &MemoryIndexImage) {
        let contents = image.0.iter().map(|(path, content)| (path.clone(), Arc::new(Mutex::new(content.clone()))));
        *self.folders.lock() = contents.collect();
    }

    /// Damages the index in `directory`, so that nothing of it can be read any more.
    pub fn corrupt(&self, directory: &Path) {
        if let Some(content) = self.folder(directory) {
            content.lock().damage = Some("damaged by a test".to_owned());
        }
    }

    /// Makes every ingest fail with this kind from now on; with `None`, none any more.
    pub fn fail_ingests(&self, kind: Option<ErrorKind>) {
        *self.ingest_failure.lock() = kind;
    }
}

/// Splitmix64: spreads a seed over all bits.
#[cfg(any(test, feature = "simulation"))]
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An open index. One that writes sees what it wrote; one that reads sees the state it last caught up to.
struct MemoryIndex {
    content: Shared,
    store_id: StoreId,
    /// `None` once closed.
    view: RwLock<Option<View>>,
    watermark: Mutex<Option<Watermark>>,
    /// `None` in an index that only reads.
    ingest_failure: Option<Arc<Mutex<Option<ErrorKind>>>>,
}

impl std::fmt::Debug for MemoryIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryIndex").field("watermark", &self.watermark()).finish_non_exhaustive()
    }
}

impl MemoryIndex {
    fn new(content: Shared, store_id: StoreId, ingest_failure: Option<Arc<Mutex<Option<ErrorKind>>>>) -> Result<Self> {
        let index = Self {
            content,
            store_id,
            view: RwLock::new(Some(View::default())),
            watermark: Mutex::new(None),
            ingest_failure,
        };
        index.look()?;
        Ok(index)
    }

    /// Takes what the folder holds as what this index sees.
    fn look(&self) -> Result<()> {
        let view = {
            let content = self.content.lock();
            content.check(self.store_id)?;
            content.view.clone()
        };
        let watermark = lookup::watermark(&view.index, self.store_id)?;
        let mut current = self.view.write();
        if current.is_none() {
            return Err(closed());
        }
        *current = Some(view);
        *self.watermark.lock() = watermark;
        Ok(())
    }

    fn view(&self) -> Result<View> {
        self.view.read().clone().ok_or_else(closed)
    }

    /// Changes the folder's content, and then what this index sees.
    fn write(&self, change: impl FnOnce(&mut Content) -> Result<()>) -> Result<()> {
        let mut content = self.content.lock();
        let mut view = self.view.write();
        if self.ingest_failure.is_none() {
            return Err(Error::new(ErrorKind::ReadOnly, "the index was opened to read"));
        }
        if view.is_none() {
            return Err(closed());
        }
        // Held no longer, so that the change need not copy what nobody else reads.
        *view = Some(View::default());
        let changed = change(&mut content);
        *view = Some(content.view.clone());
        changed
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the index was closed")
}

impl Index for MemoryIndex {
    fn watermark(&self) -> Option<Watermark> {
        *self.watermark.lock()
    }

    fn head(&self, stream: &str) -> Result<Option<StreamHead>> {
        lookup::head(&self.view()?.index, stream)
    }

    fn key(&self, key: &str) -> Result<Option<KeyEntry>> {
        lookup::key(&self.view()?.index, key)
    }

    fn places(&self, stream: &str, from: Version, direction: Direction, limit: usize) -> Result<Vec<(Version, Place)>> {
        lookup::places(&self.view()?.index, stream, from, direction, limit)
    }

    fn correlated(
        &self,
        correlation_id: &str,
        from: Sequence,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Place>> {
        lookup::correlated(&self.view()?.index, correlation_id, from, direction, limit)
    }

    fn streams(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(StreamId, StreamHead)>> {
        lookup::streams(&self.view()?.index, prefix, after, limit)
    }

    fn ingest(&self, batch: &IndexBatch) -> Result<()> {
        let mut entries = Vec::new();
        lookup::each_entry(batch, |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        self.write(|content| {
            lookup::check_batch(batch, self.watermark(), self.store_id)?;
            let failure = self.ingest_failure.as_ref().and_then(|failure| *failure.lock());
            if let Some(kind) = failure {
                return Err(Error::new(kind, "ingest: a fault that was injected"));
            }
            Arc::make_mut(&mut content.view.index).extend(entries);
            content.settle();
            *self.watermark.lock() = Some(batch.watermark);
            Ok(())
        })
    }

    fn write_state(&self, writes: &[StateWrite], sequence: Sequence) -> Result<()> {
        self.write(|content| content.write_state(writes, sequence))
    }

    fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Entries::get(&self.view()?.state, &keys::state_key(key))
    }

    fn scan_state(
        &self,
        prefix: &[u8],
        from: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        lookup::scan_state(&self.view()?.state, prefix, from, direction, limit)
    }

    fn close(&self) -> Result<()> {
        let mut content = self.content.lock();
        let was_open = self.view.write().take().is_some();
        if was_open && self.ingest_failure.is_some() {
            content.settle();
        }
        Ok(())
    }

    fn catch_up(&self) -> Result<()> {
        if self.ingest_failure.is_some() { Ok(()) } else { self.look() }
    }

    /// It holds each key once, and so has nothing to put in order.
    fn compact(&self) -> Result<()> {
        self.view().map(drop)
    }

    fn bytes(&self) -> Result<u64> {
        let content = self.content.lock();
        let entries = content.view.index.iter().chain(content.view.state.iter());
        Ok(entries.map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::index::conformance::{Log, STORE, put, watermark};

    const FOLDER: &str = "store/index";

    fn sequence_of(provider: &MemoryIndexProvider) -> u64 {
        match provider.evidence(Path::new(FOLDER), STORE) {
            IndexEvidence::Present { state_sequence, .. } => state_sequence.get(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_power_cut_loses_only_the_latest_state_and_any_number_of_it() {
        // Goal: every prefix of the writes since the last ingest is a possible outcome, and nothing else is. Method: five
        // writes, two of them before an ingest, over many seeds.
        let provider = MemoryIndexProvider::default();
        let index = provider.open(Path::new(FOLDER), STORE).unwrap();
        let mut log = Log::default();
        let batch = log.batch(&["a"], &[]);
        for number in 1..=5u64 {
            let writes = [put(&number.to_string(), ""), StateWrite::Delete((number - 1).to_string().into_bytes())];
            index.write_state(&writes, Sequence::new(number)).unwrap();
            if number == 2 {
                index.ingest(&batch).unwrap();
            }
        }
        let mut outcomes = BTreeSet::new();
        for seed in 0..64 {
            let crashed = provider.crash(seed);
            let last = sequence_of(&crashed);
            let index = crashed.open(Path::new(FOLDER), STORE).unwrap();
            assert_eq!(index.watermark(), Some(watermark(1)), "an ingest is durable");
            let found = index.scan_state(b"", b"", Direction::Forwards, 9).unwrap();
            assert_eq!(found, [(last.to_string().into_bytes(), Vec::new())], "each write is there whole, in order");
            assert_eq!(sequence_of(&provider.crash(seed)), last, "a seed is repeatable");
            outcomes.insert(last);
        }
        assert_eq!(outcomes, BTreeSet::from([2, 3, 4, 5]));
        index.close().unwrap();
        assert!((0..64).all(|seed| sequence_of(&provider.crash(seed)) == 5), "a close is durable");
    }

    #[test]
    fn a_kill_keeps_everything_and_cuts_off_whoever_had_it_open() {
        let provider = MemoryIndexProvider::default();
        let index = provider.open(Path::new(FOLDER), STORE).unwrap();
        index.write_state(&[put("a", "1")], Sequence::new(3)).unwrap();
        let killed = provider.kill();
        index.write_state(&[put("a", "2")], Sequence::new(4)).unwrap();
        assert_eq!((sequence_of(&killed), sequence_of(&provider)), (3, 4));
    }

    #[test]
    fn an_older_copy_can_be_put_back() {
        let provider = MemoryIndexProvider::default();
        let mut log = Log::default();
        let index = provider.open(Path::new(FOLDER), STORE).unwrap();
        index.ingest(&log.batch(&["a"], &[])).unwrap();
        let image = provider.snapshot();
        index.ingest(&log.batch(&["a"], &[])).unwrap();
        index.close().unwrap();
        provider.restore(&image);
        let index = provider.open(Path::new(FOLDER), STORE).unwrap();
        assert_eq!(index.watermark(), Some(watermark(1)));
        provider.remove(Path::new(FOLDER)).unwrap();
        assert_eq!(provider.evidence(Path::new(FOLDER), STORE), IndexEvidence::Absent);
    }

    #[test]
    fn a_corrupt_index_is_unusable_until_it_is_removed() {
        let provider = MemoryIndexProvider::default();
        provider.open(Path::new(FOLDER), STORE).unwrap().close().unwrap();
        provider.corrupt(Path::new(FOLDER));
        assert!(matches!(provider.evidence(Path::new(FOLDER), STORE), IndexEvidence::Unusable(_)));
        assert_eq!(provider.open(Path::new(FOLDER), STORE).unwrap_err().kind(), ErrorKind::Io);
        provider.remove(Path::new(FOLDER)).unwrap();
        provider.open(Path::new(FOLDER), STORE).unwrap();
    }

    #[test]
    fn an_index_of_an_older_format_is_unusable_until_it_is_removed() {
        let provider = MemoryIndexProvider::default();
        let index = provider.open(Path::new(FOLDER), STORE).unwrap();
        index.ingest(&Log::default().batch(&["a"], &[])).unwrap();
        index.close().unwrap();
        provider.make_older(Path::new(FOLDER));
        let IndexEvidence::Unusable(why) = provider.evidence(Path::new(FOLDER), STORE) else { panic!("older") };
        assert!(why.contains("format 1"), "{why}");
        assert_eq!(provider.open(Path::new(FOLDER), STORE).unwrap_err().kind(), ErrorKind::Io);
    }

    #[test]
    fn an_ingest_that_fails_leaves_the_index_as_it_was() {
        let provider = MemoryIndexProvider::default();
        let mut log = Log::default();
        let index = provider.open(Path::new(FOLDER), STORE).unwrap();
        let batch = log.batch(&["a"], &[("k", 1)]);
        provider.fail_ingests(Some(ErrorKind::StorageFull));
        assert_eq!(index.ingest(&batch).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!((index.watermark(), index.head("a").unwrap(), index.key("k").unwrap()), (None, None, None));
        provider.fail_ingests(None);
        index.ingest(&batch).unwrap();
        assert_eq!(index.watermark(), Some(watermark(1)));
    }

    #[test]
    fn clones_share_and_folders_do_not() {
        let provider = MemoryIndexProvider::default();
        let clone = provider.clone();
        provider.open(Path::new(FOLDER), STORE).unwrap();
        assert!(matches!(clone.evidence(Path::new(FOLDER), STORE), IndexEvidence::Present { .. }));
        assert_eq!(clone.evidence(Path::new("other"), STORE), IndexEvidence::Absent);
    }
}
