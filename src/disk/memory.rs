//! A file system in memory, for the tests of programs that use a store.
//!
//! It keeps every write at once, knows no crash and is gone with its last clone. A disk that crashes is in
//! `sim`. The root folder is there from the start; `/a`, `a` and `./a` are the same path.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::{DirectoryEntry, Disk, DiskFile, DiskLock, EntryKind, Mapping, OpenMode, SharedWord, map};
use crate::sync::Ordering;
use crate::sync::leaf::{AtomicBool, Mutex, RwLock};

/// A file system in memory; clones are the same one.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    nodes: Arc<Mutex<BTreeMap<PathBuf, Node>>>,
}

#[derive(Clone)]
enum Node {
    Directory,
    File(Arc<Content>),
}

/// A file apart from its name: an open file outlives its name.
#[derive(Default)]
struct Content {
    bytes: RwLock<Vec<u8>>,
    locked: AtomicBool,
}

impl Content {
    /// Changes bytes, after growing the file with zeros to `length` where it is shorter.
    fn change(&self, length: usize, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut bytes = self.bytes.write();
        let more = length.saturating_sub(bytes.len());
        bytes.try_reserve(more).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        if more > 0 {
            bytes.resize(length, 0);
        }
        change(&mut bytes);
        Ok(())
    }
}

/// A path without what does not matter to this disk, so that equal places have equal paths.
pub(super) fn normalised(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

impl MemoryDisk {
    fn with_nodes<T>(&self, action: impl FnOnce(&mut BTreeMap<PathBuf, Node>) -> io::Result<T>) -> io::Result<T> {
        action(&mut self.nodes.lock())
    }
}

fn find(nodes: &BTreeMap<PathBuf, Node>, path: &Path) -> io::Result<Node> {
    if path.as_os_str().is_empty() {
        return Ok(Node::Directory);
    }
    nodes.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn find_file(nodes: &BTreeMap<PathBuf, Node>, path: &Path) -> io::Result<Arc<Content>> {
    match find(nodes, path)? {
        Node::File(content) => Ok(content),
        Node::Directory => Err(io::ErrorKind::IsADirectory.into()),
    }
}

fn find_directory(nodes: &BTreeMap<PathBuf, Node>, path: &Path) -> io::Result<()> {
    match find(nodes, path)? {
        Node::Directory => Ok(()),
        Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
    }
}

/// Adds what must not be there yet.
fn add(nodes: &mut BTreeMap<PathBuf, Node>, path: PathBuf, node: Node) -> io::Result<()> {
    if find(nodes, &path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    find_directory(nodes, path.parent().unwrap_or(Path::new("")))?;
    nodes.insert(path, node);
    Ok(())
}

/// A folder and all that is in it, to a name that nothing has.
fn rename_directory(nodes: &mut BTreeMap<PathBuf, Node>, from: &Path, to: &Path) -> io::Result<()> {
    find_directory(nodes, to.parent().unwrap_or(Path::new("")))?;
    if find(nodes, to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let inside: Vec<PathBuf> = nodes.keys().filter(|path| path.starts_with(from)).cloned().collect();
    for path in inside {
        let renamed = path.strip_prefix(from).map_or_else(|_| path.clone(), |rest| to.join(rest));
        if let Some(node) = nodes.remove(&path) {
            // Joined with nothing, a path would end in a slash.
            nodes.insert(renamed.components().collect(), node);
        }
    }
    Ok(())
}

impl Disk for MemoryDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.with_nodes(|nodes| add(nodes, normalised(path), Node::Directory))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let path = normalised(path);
        let content = self.with_nodes(|nodes| match mode {
            OpenMode::Read | OpenMode::ReadWrite => find_file(nodes, &path),
            OpenMode::CreateNew => {
                let content = Arc::new(Content::default());
                add(nodes, path, Node::File(content.clone()))?;
                Ok(content)
            }
        })?;
        Ok(Arc::new(MemoryFile { content, writable: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normalised(from), normalised(to));
        self.with_nodes(|nodes| {
            if matches!(find(nodes, &from), Ok(Node::Directory)) {
                return rename_directory(nodes, &from, &to);
            }
            let content = find_file(nodes, &from)?;
            find_directory(nodes, to.parent().unwrap_or(Path::new("")))?;
            if matches!(find(nodes, &to), Ok(Node::Directory)) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if find_file(nodes, &to).is_ok_and(|replaced| Arc::ptr_eq(&replaced, &content)) {
                return Ok(());
            }
            nodes.remove(&from);
            nodes.insert(to, Node::File(content));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normalised(path);
        self.with_nodes(|nodes| {
            find_file(nodes, &path)?;
            nodes.remove(&path);
            Ok(())
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let path = normalised(path);
        self.with_nodes(|nodes| {
            find_directory(nodes, &path)?;
            if nodes.keys().any(|other| other.parent() == Some(&path)) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            nodes.remove(&path);
            Ok(())
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let directory = normalised(directory);
        self.with_nodes(|nodes| {
            find_directory(nodes, &directory)?;
            let inside = nodes.iter().filter(|(path, _)| path.parent() == Some(&directory));
            Ok(inside
                .map(|(path, node)| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let (kind, length) = match node {
                        Node::Directory => (EntryKind::Directory, 0),
                        Node::File(content) => (EntryKind::File, content.bytes.read().len() as u64),
                    };
                    DirectoryEntry { name, kind, length }
                })
                .collect())
        })
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        let found = self.with_nodes(|nodes| find(nodes, &normalised(path)));
        Ok(found.ok().map(|node| match node {
            Node::Directory => EntryKind::Directory,
            Node::File(_) => EntryKind::File,
        }))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.with_nodes(|nodes| find_directory(nodes, &normalised(path)))
    }

    fn reflink(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.with_nodes(|nodes| {
            let bytes = find_file(nodes, &normalised(from))?.bytes.read().clone();
            let copy = Content { bytes: RwLock::new(bytes), locked: AtomicBool::default() };
            add(nodes, normalised(to), Node::File(Arc::new(copy)))
        })?;
        Ok(true)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.with_nodes(|nodes| {
            let content = find_file(nodes, &normalised(from))?;
            add(nodes, normalised(to), Node::File(content))
        })?;
        Ok(true)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        let path = normalised(path);
        let content = self.with_nodes(|nodes| match find_file(nodes, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let content = Arc::new(Content::default());
                add(nodes, path, Node::File(content.clone()))?;
                Ok(content)
            }
            found => found,
        })?;
        if content.locked.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        *content.bytes.write() = holder.as_bytes().to_vec();
        Ok(Some(Box::new(MemoryLock { content })))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        match self.with_nodes(|nodes| find_file(nodes, &normalised(path))) {
            Ok(content) => Ok(content.locked.load(Ordering::Acquire)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MemoryDisk({} names)", self.nodes.lock().len())
    }
}

struct MemoryLock {
    content: Arc<Content>,
}

impl DiskLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.content.locked.store(false, Ordering::Release);
    }
}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MemoryLock")
    }
}

struct MemoryFile {
    content: Arc<Content>,
    writable: bool,
}

impl MemoryFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

/// An offset or a length as this machine counts memory.
fn in_memory(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::StorageFull.into())
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.content.bytes.read();
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        for (target, source) in buffer.iter_mut().zip(rest) {
            *target = *source;
        }
        Ok(read)
    }

    fn write_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let written: usize = parts.iter().map(|part| part.len()).sum();
        if written == 0 {
            return Ok(0);
        }
        let start = in_memory(offset)?;
        let end = start.checked_add(written).ok_or(io::ErrorKind::FileTooLarge)?;
        self.content.change(end, |bytes| {
            let mut rest = bytes.get_mut(start..end).unwrap_or_default();
            for part in parts {
                let (target, others) = rest.split_at_mut(part.len());
                target.copy_from_slice(part);
                rest = others;
            }
        })?;
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.content.bytes.read().len() as u64)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.content.change(in_memory(length)?, |_| {})
    }

    fn map(&self) -> io::Result<Mapping> {
        Ok(Mapping::from(self.content.bytes.read().clone()))
    }

    fn share_word(&self, offset: u64) -> io::Result<Box<dyn SharedWord>> {
        self.check_writable()?;
        map::check_word(offset, self.length()?)?;
        Ok(Box::new(MemoryWord { content: self.content.clone(), start: in_memory(offset)? }))
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MemoryFile({} bytes)", self.content.bytes.read().len())
    }
}

struct MemoryWord {
    content: Arc<Content>,
    start: usize,
}

impl SharedWord for MemoryWord {
    fn store(&self, value: u64) {
        let mut bytes = self.content.bytes.write();
        // Files do not shrink here, except the one that is a lock, in which nobody shares a word.
        if let Some(word) = bytes.get_mut(self.start..).and_then(<[u8]>::first_chunk_mut) {
            *word = value.to_le_bytes();
        }
    }
}

impl fmt::Debug for MemoryWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MemoryWord(at {})", self.start)
    }
}
