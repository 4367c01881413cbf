//! What every disk must do, whatever stands behind it: one suite, run against each of them.

use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use super::*;

fn create(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    write_all_at(file.as_ref(), &[bytes], 0).unwrap();
    file
}

fn content(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    content_of(disk.open(path, OpenMode::Read).unwrap().as_ref())
}

fn content_of(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}

fn kind_of<T>(result: io::Result<T>) -> ErrorKind {
    result.map(drop).unwrap_err().kind()
}

/// Runs the whole suite below `root`, an empty folder of that disk.
pub(super) fn conforms(disk: &dyn Disk, root: &Path) {
    let parts: [fn(&dyn Disk, &Path); 10] =
        [names, renames, folders, bytes, lengths, unlinked_files, mappings, words, locks, links];
    for (number, part) in parts.into_iter().enumerate() {
        let directory = root.join(format!("part-{number}"));
        disk.create_directory(&directory).unwrap();
        part(disk, &directory);
        disk.sync_directory(&directory).unwrap();
    }
}

fn names(disk: &dyn Disk, root: &Path) {
    assert_eq!(disk.list(root).unwrap(), []);
    create(disk, &root.join("b"), b"four");
    create(disk, &root.join("a"), b"");
    disk.create_directory(&root.join("c")).unwrap();
    create(disk, &root.join("c").join("inside"), b"");
    let entry = |name: &str, kind, length| DirectoryEntry { name: name.into(), kind, length };
    assert_eq!(
        disk.list(root).unwrap(),
        [entry("a", EntryKind::File, 0), entry("b", EntryKind::File, 4), entry("c", EntryKind::Directory, 0)]
    );
    assert_eq!(disk.kind(root).unwrap(), Some(EntryKind::Directory));
    assert_eq!(disk.kind(&root.join("b")).unwrap(), Some(EntryKind::File));
    assert_eq!(disk.kind(&root.join("none")).unwrap(), None);
    assert_eq!(disk.kind(&root.join("none").join("none")).unwrap(), None);

    assert_eq!(kind_of(disk.create_directory(&root.join("a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.create_directory(&root.join("c"))), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.create_directory(&root.join("none").join("d"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.open(&root.join("a"), OpenMode::CreateNew)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.open(&root.join("none").join("d"), OpenMode::CreateNew)), ErrorKind::NotFound);
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        assert_eq!(kind_of(disk.open(&root.join("none"), mode)), ErrorKind::NotFound);
    }
    assert_eq!(kind_of(disk.open(&root.join("c"), OpenMode::ReadWrite)), ErrorKind::IsADirectory);
    assert_eq!(kind_of(disk.list(&root.join("none"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.list(&root.join("a"))), ErrorKind::NotADirectory);
    assert_eq!(kind_of(disk.sync_directory(&root.join("none"))), ErrorKind::NotFound);

    disk.remove(&root.join("a")).unwrap();
    assert_eq!(kind_of(disk.remove(&root.join("a"))), ErrorKind::NotFound);
    assert_eq!(disk.kind(&root.join("a")).unwrap(), None);
    assert!(disk.remove(&root.join("c")).is_err());
    disk.sync_directory(root).unwrap();
}

fn renames(disk: &dyn Disk, root: &Path) {
    let (a, b, directory) = (root.join("a"), root.join("b"), root.join("d"));
    disk.create_directory(&directory).unwrap();
    create(disk, &a, b"a");
    disk.rename(&a, &b).unwrap();
    assert_eq!(disk.kind(&a).unwrap(), None);
    assert_eq!(content(disk, &b), b"a");
    create(disk, &a, b"new");
    disk.rename(&a, &b).unwrap();
    assert_eq!(content(disk, &b), b"new", "a rename replaces");
    disk.rename(&b, &b).unwrap();
    assert_eq!(content(disk, &b), b"new", "a rename onto itself does nothing");
    disk.rename(&b, &directory.join("c")).unwrap();
    assert_eq!(content(disk, &directory.join("c")), b"new");
    assert_eq!(disk.kind(&b).unwrap(), None);
    assert_eq!(kind_of(disk.rename(&b, &a)), ErrorKind::NotFound);
    create(disk, &b, b"b");
    assert!(disk.rename(&b, &directory).is_err());
    assert_eq!(kind_of(disk.rename(&b, &root.join("none").join("b"))), ErrorKind::NotFound);
    assert_eq!(content(disk, &b), b"b");
}

/// A folder is renamed with all that is in it, and removed when nothing is.
fn folders(disk: &dyn Disk, root: &Path) {
    let (from, to) = (root.join("from"), root.join("to"));
    disk.create_directory(&from).unwrap();
    disk.create_directory(&from.join("inner")).unwrap();
    create(disk, &from.join("inner").join("f"), b"f");
    disk.rename(&from, &to).unwrap();
    assert_eq!(disk.kind(&from).unwrap(), None);
    assert_eq!(content(disk, &to.join("inner").join("f")), b"f");
    disk.create_directory(&from).unwrap();
    assert!(disk.rename(&from, &to).is_err(), "a folder that holds something is not replaced");
    assert_eq!(content(disk, &to.join("inner").join("f")), b"f");
    disk.remove_directory(&from).unwrap();
    assert_eq!(disk.kind(&from).unwrap(), None);
    assert_eq!(kind_of(disk.remove_directory(&from)), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.remove_directory(&to.join("inner"))), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind_of(disk.remove_directory(&to.join("inner").join("f"))), ErrorKind::NotADirectory);
    disk.remove(&to.join("inner").join("f")).unwrap();
    disk.remove_directory(&to.join("inner")).unwrap();
    assert_eq!(disk.list(&to).unwrap(), []);
}

fn bytes(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    let mut buffer = [9u8; 4];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 0);
    assert_eq!(file.write_at(&[], 5).unwrap(), 0);
    assert_eq!(file.write_at(&[IoSlice::new(b"")], 5).unwrap(), 0);
    assert_eq!(file.length().unwrap(), 0, "writing nothing grows nothing");

    let parts: [&[u8]; 4] = [b"one", b"", b"two", b"three"];
    write_all_at(file.as_ref(), &parts, 2).unwrap();
    assert_eq!(content(disk, &path), b"\0\0onetwothree");
    write_all_at(file.as_ref(), &[b"XY"], 4).unwrap();
    assert_eq!(content_of(file.as_ref()), b"\0\0onXYwothree");
    let far = 3 * 4096 - 2;
    write_all_at(file.as_ref(), &[b"end!"], far).unwrap();
    let whole = content(disk, &path);
    assert_eq!(whole.len() as u64, far + 4);
    assert!(whole[13..whole.len() - 4].iter().all(|byte| *byte == 0), "a gap reads as zeros");
    assert_eq!(&whole[whole.len() - 4..], b"end!");

    let read = read_up_to(file.as_ref(), &mut buffer, far + 2).unwrap();
    assert_eq!(&buffer[..read], b"d!");
    assert_eq!(kind_of(read_exact_at(file.as_ref(), &mut buffer, far + 2)), ErrorKind::UnexpectedEof);
    assert_eq!(file.read_at(&mut buffer, far + 4).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, far + 400_000).unwrap(), 0);

    let many: Vec<Vec<u8>> = (0..3000u32).map(|number| number.to_le_bytes().to_vec()).collect();
    let slices: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    write_all_at(file.as_ref(), &slices, 1).unwrap();
    assert_eq!(content(disk, &path)[1..=12_000], many.concat());

    let reader = disk.open(&path, OpenMode::Read).unwrap();
    assert!(reader.write_at(&[IoSlice::new(b"no")], 0).is_err());
    assert!(reader.allocate(1 << 20).is_err());
    reader.sync_data().unwrap();
    file.sync_data().unwrap();
    let writer = disk.open(&path, OpenMode::ReadWrite).unwrap();
    write_all_at(writer.as_ref(), &[b"!"], 0).unwrap();
    assert_eq!(content_of(reader.as_ref())[0], b'!', "all handles see the same bytes");
}

fn lengths(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    let file = create(disk, &path, b"kept");
    file.allocate(10_000).unwrap();
    let mut expected = b"kept".to_vec();
    expected.resize(10_000, 0);
    assert_eq!(content(disk, &path), expected);
    file.allocate(0).unwrap();
    file.allocate(9).unwrap();
    assert_eq!(content(disk, &path), expected, "an allocation never shortens");
    assert!(file.allocate(u64::MAX).is_err());
    assert_eq!(content(disk, &path), expected, "an allocation that failed changes nothing");
    write_all_at(file.as_ref(), &[b"x"], 9_999).unwrap();
    assert_eq!(file.length().unwrap(), 10_000);
}

fn unlinked_files(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    let first = create(disk, &path, b"first");
    disk.remove(&path).unwrap();
    create(disk, &path, b"second");
    write_all_at(first.as_ref(), &[b"F"], 0).unwrap();
    first.sync_data().unwrap();
    assert_eq!(content_of(first.as_ref()), b"First", "an open file outlives its name");
    assert_eq!(content(disk, &path), b"second");
}

fn mappings(disk: &dyn Disk, root: &Path) {
    let empty = create(disk, &root.join("empty"), b"").map().unwrap();
    assert_eq!(empty.as_ref(), b"");
    let bytes: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
    let file = create(disk, &root.join("f"), &bytes);
    let mapping = disk.open(&root.join("f"), OpenMode::Read).unwrap().map().unwrap();
    assert_eq!(mapping.as_ref(), bytes);
    write_all_at(file.as_ref(), &[b"more"], bytes.len() as u64).unwrap();
    disk.remove(&root.join("f")).unwrap();
    drop(file);
    assert_eq!(mapping.as_ref(), bytes, "a mapping keeps its length and outlives the name");
}

fn words(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    let file = create(disk, &path, &[7; 5000]);
    let word = file.share_word(4096 + 8).unwrap();
    assert_eq!(content(disk, &path), [7; 5000]);
    word.store(0x0102_0304_0506_0708);
    let mut expected = vec![7; 5000];
    expected[4104..4112].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(content(disk, &path), expected);
    for offset in [4, 5000, 4992 + 4, 1 << 40] {
        assert_eq!(kind_of(file.share_word(offset)), ErrorKind::InvalidInput, "at {offset}");
    }
    drop(file);
    word.store(1);
    assert_eq!(content(disk, &path)[4104..4112], [1, 0, 0, 0, 0, 0, 0, 0], "a word outlives the handle");
}

fn locks(disk: &dyn Disk, root: &Path) {
    let path = root.join("LOCK");
    assert!(!disk.is_locked(&path).unwrap());
    assert_eq!(disk.kind(&path).unwrap(), None, "asking creates nothing");
    let lock = disk.lock(&path, "the first holder").unwrap().unwrap();
    assert!(disk.is_locked(&path).unwrap());
    assert!(disk.lock(&path, "another").unwrap().is_none());
    assert_eq!(content(disk, &path), b"the first holder", "who is refused does not touch the text");
    drop(lock);
    assert!(!disk.is_locked(&path).unwrap());
    let lock = disk.lock(&path, "second").unwrap().unwrap();
    assert_eq!(content(disk, &path), b"second");
    drop(lock);
    assert_eq!(kind_of(disk.lock(&root.join("none").join("LOCK"), "")), ErrorKind::NotFound);
}

/// A disk may say that it has no such thing; then nothing is made.
fn links(disk: &dyn Disk, root: &Path) {
    type Copying = fn(&dyn Disk, &Path, &Path) -> io::Result<bool>;
    let reflink: Copying = |disk, from, to| disk.reflink(from, to);
    let hard_link: Copying = |disk, from, to| disk.hard_link(from, to);
    let bytes: Vec<u8> = (0..3000u32).flat_map(u32::to_le_bytes).collect();
    for (name, copy, is_shared) in [("reflink", reflink, false), ("link", hard_link, true)] {
        let (from, to) = (root.join(format!("{name}-from")), root.join(format!("{name}-to")));
        let file = create(disk, &from, &bytes);
        file.sync_data().unwrap();
        assert_eq!(kind_of(copy(disk, &root.join("none"), &to)), ErrorKind::NotFound);
        assert_eq!(kind_of(copy(disk, &from, &from)), ErrorKind::AlreadyExists);
        assert_eq!(content(disk, &from), bytes);
        if !copy(disk, &from, &to).unwrap() {
            assert_eq!(disk.kind(&to).unwrap(), None, "{name}: nothing is made");
            continue;
        }
        assert_eq!(content(disk, &to), bytes);
        write_all_at(file.as_ref(), &[b"changed"], 0).unwrap();
        assert_eq!(content(disk, &to).starts_with(b"changed"), is_shared, "{name}");
        disk.rename(&from, &to).unwrap();
        assert_eq!(
            disk.kind(&from).unwrap().is_some(),
            is_shared,
            "{name}: between two names of one file it does nothing"
        );
        disk.remove(&to).unwrap();
        assert_eq!(content_of(file.as_ref()).len(), bytes.len(), "{name}: an open file outlives its names");
        if is_shared {
            assert!(content(disk, &from).starts_with(b"changed"), "the other name stays");
        }
        disk.sync_directory(root).unwrap();
    }
}

#[test]
fn the_operating_system_conforms() {
    let root = tempfile::tempdir().unwrap();
    conforms(&OsDisk, root.path());
}

#[test]
fn the_disk_in_memory_conforms() {
    conforms(&MemoryDisk::default(), Path::new("/"));
    let disk = MemoryDisk::default();
    disk.create_directory(Path::new("store")).unwrap();
    conforms(&disk.clone(), Path::new("./store"));
    assert_eq!(disk.list(Path::new("/store")).unwrap().len(), 10, "clones are one disk");
}
