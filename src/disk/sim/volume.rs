//! The whole of a simulated disk: files, folders, and the changes of names that no sync has settled.
//!
//! Invariant: a folder's `cache` is its `durable` with all of its changes applied in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::memory::normalised;
use super::super::{DirectoryEntry, EntryKind};
use super::crash::Fate;
use super::file::File;
use super::image::Image;
use super::options::SimulationOptions;
use super::outcomes::{Digest, Unsynced, UnsyncedPart};

pub(super) type NodeId = u64;

const ROOT: NodeId = 0;

/// No file system has longer files.
const LENGTH_MAX: u64 = i64::MAX.unsigned_abs();

type Names = BTreeMap<String, NodeId>;

/// Names are text; those of this crate are, and a simulation has no others.
fn text(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().into_owned()
}

#[derive(Clone, Debug)]
enum Node {
    Directory(Directory),
    File(File),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    cache: Arc<Names>,
    durable: Arc<Names>,
}

/// A name in a folder that was given to a node, or to none. Those of one `unit` are kept or lost together, as long as
/// none of their folders is synced.
#[derive(Clone, Debug)]
struct Change {
    unit: u64,
    directory: NodeId,
    name: String,
    node: Option<NodeId>,
}

#[derive(Clone, Debug)]
pub(super) struct Volume {
    nodes: BTreeMap<NodeId, Node>,
    changes: Vec<Change>,
    next_node: NodeId,
    next_unit: u64,
    pub(super) options: SimulationOptions,
}

/// The folder and the name in it that a path means.
struct Place {
    directory: NodeId,
    name: String,
}

impl Volume {
    pub(super) fn new(options: SimulationOptions) -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Self { nodes, changes: Vec::new(), next_node: ROOT + 1, next_unit: 0, options }
    }

    pub(super) fn sector_bytes(&self) -> u64 {
        self.options.sector.bytes()
    }

    // Looking up.

    fn directory(&self, node: NodeId) -> io::Result<&Directory> {
        match self.nodes.get(&node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn directory_mut(&mut self, node: NodeId) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(&node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file(&self, node: NodeId) -> io::Result<&File> {
        match self.nodes.get(&node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file_mut(&mut self, node: NodeId) -> io::Result<&mut File> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in &normalised(path) {
            let names = &self.directory(node)?.cache;
            node = names.get(&text(name)).copied().ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.find(path)?;
        self.file(node).map(|_| node)
    }

    fn place(&self, path: &Path) -> io::Result<Place> {
        let path = normalised(path);
        // The root has no name, and it is there.
        let name = path.file_name().map(text).ok_or(io::ErrorKind::AlreadyExists)?;
        let directory = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.directory(directory)?;
        Ok(Place { directory, name })
    }

    fn node_at(&self, place: &Place) -> Option<NodeId> {
        self.directory(place.directory).ok()?.cache.get(&place.name).copied()
    }

    pub(super) fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match self.find(path) {
            Ok(node) => Ok(self.nodes.get(&node).map(|node| node.entry().0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let names = &self.directory(self.find(path)?)?.cache;
        let found = names.iter().filter_map(|(name, node)| Some((name, self.nodes.get(node)?.entry())));
        Ok(found.map(|(name, (kind, length))| DirectoryEntry { name: name.clone(), kind, length }).collect())
    }

    /// All files that have a name, and their paths.
    pub(super) fn files(&self) -> Vec<(PathBuf, NodeId)> {
        let mut found = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = open.pop() {
            match self.nodes.get(&node) {
                Some(Node::Directory(directory)) => {
                    open.extend(directory.cache.iter().map(|(name, node)| (path.join(name), *node)));
                }
                Some(Node::File(_)) => found.push((path, node)),
                None => {}
            }
        }
        found.sort();
        found
    }

    // Changing names.

    fn add_node(&mut self, node: Node) -> NodeId {
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(id, node);
        id
    }

    /// Gives names to nodes, as one unit that no sync has settled.
    fn change(&mut self, assignments: Vec<(Place, Option<NodeId>)>) -> io::Result<()> {
        let unit = self.next_unit;
        self.next_unit += 1;
        for (Place { directory, name }, node) in assignments {
            let names = Arc::make_mut(&mut self.directory_mut(directory)?.cache);
            assign(names, &name, node);
            self.changes.push(Change { unit, directory, name, node });
        }
        Ok(())
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let place = self.place(path)?;
        if self.node_at(&place).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = self.add_node(node);
        self.change(vec![(place, Some(node))])?;
        Ok(node)
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        self.create(path, Node::Directory(Directory::default())).map(drop)
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        self.create(path, Node::File(File::default()))
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (source, target) = (self.place(from)?, self.place(to)?);
        if self.directory(node).is_ok() && self.node_at(&target).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        match self.node_at(&target) {
            Some(replaced) if replaced == node => return Ok(()),
            Some(replaced) => drop(self.file(replaced)?),
            None => {}
        }
        self.change(vec![(target, Some(node)), (source, None)])
    }

    /// Another file with the same bytes, none of them synced; `false` where this disk has no such thing.
    pub(super) fn reflink(&mut self, from: &Path, to: &Path) -> io::Result<bool> {
        let bytes = self.file(self.find_file(from)?)?.cache().to_vec();
        let place = self.place(to)?;
        if self.node_at(&place).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.options.reflinks {
            return Ok(false);
        }
        if bytes.len() as u64 > self.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = self.create_file(to)?;
        if !bytes.is_empty() {
            self.write(node, &bytes, 0)?;
        }
        Ok(true)
    }

    /// A second name for a file.
    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find_file(from)?;
        let place = self.place(to)?;
        if self.node_at(&place).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(vec![(place, Some(node))])
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find_file(path)?;
        let place = self.place(path)?;
        self.change(vec![(place, None)])
    }

    pub(super) fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        if !self.directory(node)?.cache.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let place = self.place(path)?;
        self.change(vec![(place, None)])
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        let is_lying = self.options.lies_about_sync;
        let directory = self.directory_mut(node)?;
        if !is_lying {
            directory.durable = directory.cache.clone();
            self.changes.retain(|change| change.directory != node);
        }
        Ok(())
    }

    /// Settles what was done to the names of the folder that holds `path`, without a call.
    pub(super) fn settle_names(&mut self, path: &Path) -> io::Result<()> {
        let node = self.place(path)?.directory;
        let directory = self.directory_mut(node)?;
        directory.durable = directory.cache.clone();
        self.changes.retain(|change| change.directory != node);
        Ok(())
    }

    /// Replaces a file's content, as if it had always been there.
    pub(super) fn put_file(&mut self, node: NodeId, bytes: &[u8]) -> io::Result<()> {
        self.file_mut(node)?.replace(Image::from(bytes));
        Ok(())
    }

    // Changing files.

    /// How much longer the files may get, all together.
    pub(super) fn room(&self) -> u64 {
        let Some(capacity) = self.options.capacity_bytes else { return u64::MAX };
        // A file with two names takes its room once.
        let nodes: BTreeSet<NodeId> = self.files().into_iter().map(|(_, node)| node).collect();
        let used: u64 = nodes.iter().filter_map(|node| self.file(*node).ok()).map(|file| file.cache().length()).sum();
        capacity.saturating_sub(used)
    }

    /// Writes what there is room for.
    pub(super) fn write(&mut self, node: NodeId, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= LENGTH_MAX);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        let length = self.file(node)?.cache().length();
        let end = if end > length { end.min(length.saturating_add(self.room())) } else { end };
        let fitting = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(bytes) = bytes.get(..fitting).filter(|bytes| !bytes.is_empty()) else {
            return if bytes.is_empty() { Ok(0) } else { Err(io::ErrorKind::StorageFull.into()) };
        };
        let sector_bytes = self.sector_bytes();
        self.file_mut(node)?.write(bytes, offset, sector_bytes);
        Ok(bytes.len())
    }

    pub(super) fn allocate(&mut self, node: NodeId, length: u64) -> io::Result<()> {
        if length > LENGTH_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let more = length.saturating_sub(self.file(node)?.cache().length());
        if more > 0 && more > self.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file_mut(node)?.grow(length);
        Ok(())
    }

    // Crashing.

    /// The nodes that some outcome of a crash may still give a name to.
    fn referenced(&self) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::from([ROOT]);
        for node in self.nodes.values() {
            if let Node::Directory(directory) = node {
                found.extend(directory.durable.values());
            }
        }
        found.extend(self.changes.iter().filter_map(|change| change.node));
        found
    }

    /// The durable bytes of all files.
    pub(super) fn durable_images(&self) -> Vec<Image> {
        let files = self.nodes.values().filter_map(|node| match node {
            Node::File(file) => Some(file.durable().clone()),
            Node::Directory(_) => None,
        });
        files.filter(|image| image.length() > 0).collect()
    }

    /// What a power cut leaves.
    pub(super) fn crash(&self, fate: &mut dyn Fate) -> Self {
        let mut names: BTreeMap<NodeId, Arc<Names>> = BTreeMap::new();
        let mut verdict = None;
        for change in &self.changes {
            let is_kept = match verdict {
                Some((unit, is_kept)) if unit == change.unit => is_kept,
                _ => fate.change(),
            };
            verdict = Some((change.unit, is_kept));
            if let (true, Ok(directory)) = (is_kept, self.directory(change.directory)) {
                let names = names.entry(change.directory).or_insert_with(|| directory.durable.clone());
                assign(Arc::make_mut(names), &change.name, change.node);
            }
        }
        let mut crashed = Self { nodes: BTreeMap::new(), changes: Vec::new(), ..*self };
        for id in self.referenced() {
            let node = match self.nodes.get(&id) {
                Some(Node::Directory(directory)) => {
                    let names = names.remove(&id).unwrap_or_else(|| directory.durable.clone());
                    Node::Directory(Directory { cache: names.clone(), durable: names })
                }
                Some(Node::File(file)) => Node::File(File::settled(file.crash(fate, self.sector_bytes()))),
                None => continue,
            };
            crashed.nodes.insert(id, node);
        }
        crashed
    }

    /// What `crash` asks about, in that order.
    pub(super) fn unsynced_things(&self) -> Vec<Unsynced> {
        let mut things = Vec::new();
        let mut unit = None;
        for change in &self.changes {
            if unit.replace(change.unit) != Some(change.unit) {
                let path = self.path_of(change.directory).join(&change.name);
                things.push(Unsynced { path, part: UnsyncedPart::Name });
            }
        }
        for id in self.referenced() {
            if let Some(Node::File(file)) = self.nodes.get(&id) {
                things.extend(file.unsynced_parts().map(|part| Unsynced { path: self.path_of(id), part }));
            }
        }
        things
    }

    /// A path of a node: the one it has, or one that it had.
    fn path_of(&self, node: NodeId) -> PathBuf {
        if node == ROOT {
            return PathBuf::from("/");
        }
        let named = |names: &Names| names.iter().find(|(_, named)| **named == node).map(|(name, _)| name.clone());
        let place = self.nodes.iter().find_map(|(id, other)| match other {
            Node::Directory(directory) => named(&directory.cache).map(|name| (*id, name)),
            Node::File(_) => None,
        });
        let place = place.or_else(|| {
            let change = self.changes.iter().rev().find(|change| change.node == Some(node))?;
            Some((change.directory, change.name.clone()))
        });
        let place = place.or_else(|| {
            self.nodes.iter().find_map(|(id, other)| match other {
                Node::Directory(directory) => named(&directory.durable).map(|name| (*id, name)),
                Node::File(_) => None,
            })
        });
        place.map_or_else(PathBuf::new, |(directory, name)| self.path_of(directory).join(name))
    }

    /// Takes all that readers see into a digest.
    pub(super) fn digest(&self, digest: &mut Digest) {
        self.digest_node(ROOT, digest);
    }

    fn digest_node(&self, id: NodeId, digest: &mut Digest) {
        match self.nodes.get(&id) {
            Some(Node::Directory(directory)) => {
                digest.word(directory.cache.len() as u64);
                for (name, node) in directory.cache.iter() {
                    digest.text(name);
                    self.digest_node(*node, digest);
                }
            }
            Some(Node::File(file)) => file.cache().digest(digest),
            None => {}
        }
    }

    /// What the death of the process leaves: everything, with no lock held.
    pub(super) fn kill(&self) -> Self {
        let mut killed = self.clone();
        let mut named = self.referenced();
        named.extend(self.files().into_iter().map(|(_, node)| node));
        killed.nodes.retain(|id, _| named.contains(id));
        for node in killed.nodes.values_mut() {
            if let Node::File(file) = node {
                file.restart();
            }
        }
        killed
    }
}

impl Node {
    fn entry(&self) -> (EntryKind, u64) {
        match self {
            Self::Directory(_) => (EntryKind::Directory, 0),
            Self::File(file) => (EntryKind::File, file.cache().length()),
        }
    }
}

fn assign(names: &mut Names, name: &str, node: Option<NodeId>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}
