//! Folders: copying one, and comparing what is in two.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A temporary folder that goes with this.
///
/// # Panics
/// Where none can be made.
#[must_use]
pub fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bitacora-trials-").tempdir().expect("a temporary folder")
}

/// The same in memory where the machine has such a file system: for what is never cut, and would only wait for syncs.
///
/// # Panics
/// Where none can be made.
#[must_use]
pub fn temporary_in_memory() -> tempfile::TempDir {
    let made = tempfile::Builder::new().prefix("bitacora-trials-").tempdir_in("/dev/shm");
    made.unwrap_or_else(|_| temporary())
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// As reading and writing.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Copies the folder of a database that is open, as a kill at this moment would leave it: again, until nothing changed
/// meanwhile.
///
/// # Panics
/// Where it cannot be copied.
pub fn copy_of_live(from: &Path, to: &Path) {
    let sizes = || -> BTreeMap<PathBuf, u64> {
        let entries = fs::read_dir(from).expect("the folder is there").filter_map(Result::ok);
        entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len()))).collect()
    };
    for _ in 0..100 {
        let before = sizes();
        let copied = copy(from, to);
        if copied.is_ok() && sizes() == before {
            return;
        }
        let _ = fs::remove_dir_all(to);
    }
    panic!("{} does not hold still", from.display());
}

/// Every file below a folder with its bytes, by path from there.
///
/// # Panics
/// Where it cannot be read.
#[must_use]
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                found.insert(path.strip_prefix(root).expect("below the root").to_owned(), bytes);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// Bytes that the files below a folder take on disk.
#[must_use]
pub fn bytes_on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let entries = entries.filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_on_disk(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            // It was removed meanwhile.
            Err(_) => 0,
        })
        .sum()
}
