//! The payload codec: bincode 2.0.1 with serde, in its standard configuration (little-endian, variable-length
//! integers). The only module that names bincode.
//!
//! Decoding guards, in order: the caller's checksum and length cap, a limit on what may be allocated, and all
//! bytes must be consumed. Types that are decoded here must not be recursive and must not be collections of
//! zero-sized values.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::limits;

/// More than any payload, so that a crafted length cannot ask for more memory than a payload could fill.
const DECODE_BYTES_MAX: usize = limits::PAYLOAD_BYTES_MAX;

const CONFIGURATION: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<DECODE_BYTES_MAX>,
> = bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();

/// The bytes of `value`.
///
/// # Errors
/// `InvalidInput`: larger than a payload may be, or of a type that bincode cannot express.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let bytes = bincode::serde::encode_to_vec(value, CONFIGURATION).map_err(|source| {
        Error::with_source(ErrorKind::InvalidInput, format!("encode {}", std::any::type_name::<T>()), source)
    })?;
    if bytes.len() > DECODE_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{} encodes to {} bytes, at most {DECODE_BYTES_MAX} are allowed",
                std::any::type_name::<T>(),
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

/// The value that `bytes` are of, all of them.
///
/// # Errors
/// `UnknownPayload`: not the bytes of a `T`, too many, or followed by others.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let unknown =
        |why: String| Error::new(ErrorKind::UnknownPayload, format!("decode {}: {why}", std::any::type_name::<T>()));
    if bytes.len() > DECODE_BYTES_MAX {
        return Err(unknown(format!("{} bytes, at most {DECODE_BYTES_MAX} are allowed", bytes.len())));
    }
    // Borrowed, so that a text which is only looked at, such as a currency's code, is not copied first.
    let (value, used) = bincode::serde::borrow_decode_from_slice::<T, _>(bytes, CONFIGURATION)
        .map_err(|source| unknown(source.to_string()))?;
    if used != bytes.len() {
        return Err(unknown(format!("{} of {} bytes are left over", bytes.len() - used, bytes.len())));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let bytes = encode(&(1u64, -1i64, 300u32, "é", Some(7u8), vec![1u16, 700])).unwrap();
        let golden = [1, 1, 251, 44, 1, 2, 195, 169, 1, 7, 2, 1, 251, 188, 2];
        assert_eq!(bytes, golden);
        let value: (u64, i64, u32, String, Option<u8>, Vec<u16>) = decode(&bytes).unwrap();
        assert_eq!(value, (1, -1, 300, "é".to_owned(), Some(7), vec![1, 700]));
    }

    #[test]
    fn left_over_bytes_are_refused() {
        let mut bytes = encode(&5u64).unwrap();
        bytes.push(0);
        assert_eq!(decode::<u64>(&bytes).unwrap_err().kind(), ErrorKind::UnknownPayload);
    }

    #[test]
    fn a_crafted_length_asks_for_no_memory() {
        // A vector of 2^63 bytes.
        let bytes = [253, 0, 0, 0, 0, 0, 0, 0, 0x80];
        assert_eq!(decode::<Vec<u8>>(&bytes).unwrap_err().kind(), ErrorKind::UnknownPayload);
    }
}
