//! The bytes of a file, shared page by page between all that hold the same ones.
//!
//! Invariants: 1. every byte at or beyond `length` that a page holds is zero; 2. a page that is not there is zeros.

use std::sync::Arc;

use super::outcomes::Digest;

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// A file's bytes; a clone costs one count, and a change copies the pages it touches.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pages: Arc<Vec<Option<Arc<Page>>>>,
    length: u64,
}

/// An offset as this machine counts memory. Files of a simulation fit.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Image {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Grows with zeros, or cuts.
    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            let whole = in_memory(length);
            let pages = Arc::make_mut(&mut self.pages);
            pages.truncate(whole.div_ceil(PAGE_BYTES));
            if let Some(Some(page)) = pages.get_mut(whole / PAGE_BYTES) {
                Arc::make_mut(page).get_mut(whole % PAGE_BYTES..).unwrap_or_default().fill(0);
            }
        }
        self.length = length;
    }

    /// Reads up to the end; returns how many bytes that was.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let count = buffer.len().min(in_memory(self.length.saturating_sub(offset)));
        let mut rest = buffer.get_mut(..count).unwrap_or_default();
        let mut place = in_memory(offset);
        while !rest.is_empty() {
            let within = place % PAGE_BYTES;
            let (target, others) = rest.split_at_mut(rest.len().min(PAGE_BYTES - within));
            match self.pages.get(place / PAGE_BYTES) {
                Some(Some(page)) => {
                    let source = page.get(within..within + target.len()).unwrap_or_default();
                    target.copy_from_slice(source);
                }
                _ => target.fill(0),
            }
            place += target.len();
            rest = others;
        }
        count
    }

    /// All bytes.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; in_memory(self.length)];
        self.read(&mut bytes, 0);
        bytes
    }

    /// The bytes of one sector, with zeros for what lies beyond the end.
    pub(super) fn sector(&self, index: u64, sector_bytes: u64) -> Arc<[u8]> {
        let mut bytes = vec![0; in_memory(sector_bytes)];
        self.read(&mut bytes, index * sector_bytes);
        bytes.into()
    }

    /// Takes the bytes into a digest. A page that is not there counts as one of zeros.
    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.length);
        for (number, page) in (0u64..).zip(self.pages.iter()) {
            let Some(page) = page.as_ref().filter(|page| page.iter().any(|byte| *byte != 0)) else { continue };
            digest.word(number);
            digest.bytes(page.as_slice());
        }
    }

    /// Writes, growing where the bytes reach beyond the end.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        self.length = self.length.max(offset + bytes.len() as u64);
        self.overwrite(bytes, offset);
    }

    /// Writes what lies before the end, and drops the rest.
    pub(super) fn overwrite(&mut self, bytes: &[u8], offset: u64) {
        let count = bytes.len().min(in_memory(self.length.saturating_sub(offset)));
        let mut rest = bytes.get(..count).unwrap_or_default();
        let mut place = in_memory(offset);
        let pages = Arc::make_mut(&mut self.pages);
        while !rest.is_empty() {
            let (number, within) = (place / PAGE_BYTES, place % PAGE_BYTES);
            let (source, others) = rest.split_at(rest.len().min(PAGE_BYTES - within));
            if pages.len() <= number {
                pages.resize(number + 1, None);
            }
            if let Some(page) = pages.get_mut(number) {
                let page = Arc::make_mut(page.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])));
                page.get_mut(within..within + source.len()).unwrap_or_default().copy_from_slice(source);
            }
            place += source.len();
            rest = others;
        }
    }
}

/// A file of just these bytes.
impl From<&[u8]> for Image {
    fn from(bytes: &[u8]) -> Self {
        let mut image = Self::default();
        image.write(bytes, 0);
        image
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    #[test]
    fn an_image_is_what_a_plain_vector_would_be() {
        // Random writes, cuts and growths on an image and on a vector; a clone taken on the way must not change.
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let (mut image, mut model) = (Image::default(), Vec::new());
            let mut clones: Vec<(Image, Vec<u8>)> = Vec::new();
            for _ in 0..60 {
                let place = random.index(3 * PAGE_BYTES);
                match random.below(4) {
                    0 => {
                        model.resize(place, 0);
                        image.set_length(place as u64);
                    }
                    1 => clones.push((image.clone(), model.clone())),
                    kind => {
                        let mut bytes = vec![0; random.index(PAGE_BYTES + 100)];
                        random.fill(&mut bytes);
                        if kind == 2 && !bytes.is_empty() {
                            image.write(&bytes, place as u64);
                            model.resize(model.len().max(place + bytes.len()), 0);
                        } else {
                            image.overwrite(&bytes, place as u64);
                        }
                        for (target, source) in model.iter_mut().skip(place).zip(bytes) {
                            *target = source;
                        }
                    }
                }
                assert_eq!(image.to_vec(), model, "seed {seed}");
            }
            for (image, model) in clones {
                assert_eq!(image.to_vec(), model, "seed {seed}: a clone changed");
            }
        }
    }

    #[test]
    fn a_change_copies_the_pages_it_touches_and_no_others() {
        let image = Image::from([1u8; 5 * PAGE_BYTES].as_slice());
        let mut changed = image.clone();
        assert!(Arc::ptr_eq(&image.pages, &changed.pages), "a clone shares everything");
        changed.overwrite(&[2; 2], 2 * PAGE_BYTES as u64 - 1);
        let shared: Vec<bool> = (0..5)
            .map(|number| Arc::ptr_eq(image.pages[number].as_ref().unwrap(), changed.pages[number].as_ref().unwrap()))
            .collect();
        assert_eq!(shared, [true, false, false, true, true]);
    }
}
