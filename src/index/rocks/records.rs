//! Looking at the records of RocksDB's own files before it does.
//!
//! RocksDB 11.8 reads its manifest and its write-ahead log without end where a record claims a type of *recycled* files behind
//! one of another type: one flipped bit, and an open does not return. Files are never recycled here, so such a record is damage.

use std::path::{Path, PathBuf};

use super::folder::CURRENT;
use crate::error::{Error, ErrorKind, Result};

const BLOCK_BYTES: usize = 32 * 1024;
/// Checksum, length and type.
const HEADER_BYTES: usize = 4 + 2 + 1;
/// The types that records of recycled files have.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// Looks through the manifest and the write-ahead logs.
///
/// # Errors
/// `Io`: a record is of a type that is never written here, or a file cannot be read.
pub(super) fn check(directory: &Path) -> Result<()> {
    let failed = |path: &Path, error| Error::from_io(format!("read {}", path.display()), error);
    for path in files(directory).map_err(|error| failed(directory, error))? {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            // The writer has removed it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&path, error)),
        };
        if let Some(offset) = recycled(&bytes) {
            let text = format!("the index is damaged: {} at offset {offset}: no record of ours", path.display());
            return Err(Error::new(ErrorKind::Io, text));
        }
    }
    Ok(())
}

fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let manifest = std::fs::read_to_string(directory.join(CURRENT)).unwrap_or_default();
    if manifest.trim().starts_with("MANIFEST-") {
        files.push(directory.join(manifest.trim()));
    }
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    Ok(files)
}

/// The offset of the first record of a recycled file.
fn recycled(bytes: &[u8]) -> Option<usize> {
    for (block, start) in bytes.chunks(BLOCK_BYTES).zip((0..).step_by(BLOCK_BYTES)) {
        let mut at = 0;
        while let Some(&[_, _, _, _, low, high, kind]) = block.get(at..at + HEADER_BYTES) {
            if RECYCLED.contains(&kind) {
                return Some(start + at);
            }
            let length = usize::from(u16::from_le_bytes([low, high]));
            if kind == 0 && length == 0 {
                break;
            }
            at += HEADER_BYTES + length;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: u16) -> Vec<u8> {
        let mut bytes = vec![1, 2, 3, 4];
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.push(kind);
        bytes.resize(HEADER_BYTES + usize::from(length), 5);
        bytes
    }

    #[test]
    fn a_record_of_a_recycled_file_is_found_where_it_starts() {
        let plain = [record(1, 100), record(2, 0), record(9, 7), record(4, 6000)].concat();
        assert_eq!(recycled(&plain), None);
        assert_eq!(recycled(&[]), None);
        for kind in RECYCLED {
            assert_eq!(recycled(&[plain.clone(), record(kind, 9)].concat()), Some(plain.len()));
            let mut second = record(1, u16::try_from(BLOCK_BYTES - HEADER_BYTES - 3).unwrap());
            // The last bytes of a block are too few for a header.
            second.resize(BLOCK_BYTES, 8);
            assert_eq!(recycled(&[second, record(kind, 9)].concat()), Some(BLOCK_BYTES));
        }
        let zeros = [plain, vec![0; 100], record(5, 9)].concat();
        assert_eq!(recycled(&zeros), None, "nothing is read behind zeros in a block");
    }
}
