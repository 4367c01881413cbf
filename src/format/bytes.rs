//! Reading and writing fixed-width integers in byte slices without a panic.

/// A cursor over bytes that answers `None` past their end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Bytes after a length of one byte.
    #[inline]
    pub(crate) fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// Bytes after a length of two bytes.
    #[inline]
    pub(crate) fn medium(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    #[inline]
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// A length that limits have bounded far below 4 GiB.
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| unreachable!("a length past its limit: {length}"))
}

/// A 32-bit length as an index; every platform that this builds on has at least 32-bit pointers.
pub(crate) fn index(length: u32) -> usize {
    usize::try_from(length).unwrap_or_else(|_| unreachable!("a pointer has at least 32 bits"))
}

/// Whether every byte is zero; compares eight at a time.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<32>();
    words.iter().all(|word| *word == [0; 32]) && rest.iter().all(|byte| *byte == 0)
}

/// The index just past the last byte that is not zero.
pub(crate) fn end_of_content(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_never_reads_past_the_end() {
        let mut bytes = Bytes::new(&[2, 7]);
        assert_eq!(bytes.short(), None);
        let mut bytes = Bytes::new(&[1, 7, 9]);
        assert_eq!(bytes.short(), Some(&[7][..]));
        assert_eq!(bytes.u16(), None);
        assert_eq!(bytes.rest(), &[9]);
    }

    #[test]
    fn zeros_are_told_from_content_at_every_place() {
        for length in 0..100 {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            assert_eq!(end_of_content(&bytes), 0);
            for place in 0..length {
                bytes[place] = 1;
                assert!(!is_zero(&bytes), "{place} of {length}");
                assert_eq!(end_of_content(&bytes), place + 1);
                bytes[place] = 0;
            }
        }
    }
}
