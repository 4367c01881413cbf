//! What is known by name, in memory: the tail index's streams, keys and correlation ids.
//!
//! It is asked on the commit path. A name that is known costs one hash and one probe, and no allocation. What is known stands in
//! chunks that are never moved, and the table has its hashes and numbers alone, so that its growth copies little.
//!
//! Names come from outside. Their hash is keyed, so that nobody can choose names that fall together: all of the key comes from
//! the standard library's, which has it from the system, and is another one each time that a store is opened: a tail's successor
//! keeps its key, so that a commit hashes each of its streams once, before it knows which tail will take it in. The hash is not
//! cryptographic, and who saw hashes could find its key; nobody does, and what one probe more takes is lost in a commit's sync.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use smallvec::{SmallVec, smallvec};

/// How many entries a chunk takes: some tens of kilobytes, which the allocator has at hand.
const CHUNK_ENTRIES: usize = 1024;

/// A list that grows without moving what is in it.
#[derive(Debug)]
pub(super) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
    length: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), length: 0 }
    }
}

impl<T> Chunks<T> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        self.length += 1;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ENTRIES => chunk.push(entry),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
                chunk.push(entry);
                self.chunks.push(chunk);
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_ENTRIES)?.get(index % CHUNK_ENTRIES)
    }

    #[inline]
    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK_ENTRIES)?.get_mut(index % CHUNK_ENTRIES)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = T> {
        self.chunks.into_iter().flatten()
    }
}

/// Numbers in rising order, at least one. Four take no allocation: most lists have fewer.
#[derive(Debug)]
pub(super) struct Numbers {
    all: SmallVec<[u32; 4]>,
}

impl Numbers {
    pub(super) fn of(first: u32) -> Self {
        Self { all: smallvec![first] }
    }

    #[inline]
    pub(super) fn push(&mut self, number: u32) {
        self.all.push(number);
    }

    /// Puts in numbers that are all higher, each raised by `more`.
    pub(super) fn append(&mut self, later: &Self, more: u32) {
        self.all.extend(later.all.iter().map(|number| number + more));
    }

    /// Raises each by `more`.
    pub(super) fn raise(&mut self, more: u32) {
        self.all.iter_mut().for_each(|number| *number += more);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn first(&self) -> u32 {
        self.all.first().copied().unwrap_or_else(|| unreachable!("there is at least one"))
    }

    pub(super) fn last(&self) -> u32 {
        self.all.last().copied().unwrap_or_else(|| unreachable!("there is at least one"))
    }

    pub(super) fn get(&self, index: usize) -> Option<u32> {
        self.all.get(index).copied()
    }

    /// Those from the one at `start` up to that at `end`, which is not among them.
    pub(super) fn range(&self, start: usize, end: usize) -> impl DoubleEndedIterator<Item = u32> {
        (start..end.min(self.len())).filter_map(|index| self.get(index))
    }

    /// How many there are before the first of which `is_before` is not true.
    pub(super) fn partition_point(&self, is_before: impl Fn(u32) -> bool) -> usize {
        self.all.partition_point(|number| is_before(*number))
    }
}

/// Something that has a name.
pub(super) trait Named {
    fn name(&self) -> &str;
}

/// Where a name is, or where it would be put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    hash: u64,
    /// The number of what has that name, if anything has.
    pub(super) number: Option<u32>,
}

impl Found {
    /// Nothing has the name, which has this hash.
    pub(super) fn none(hash: u64) -> Self {
        Self { hash, number: None }
    }
}

/// Hashes names with a key that nobody knows; clones with the same one.
#[derive(Clone)]
pub(crate) struct Keyed {
    seed: u64,
    shared: SharedSeed,
}

impl Keyed {
    fn at_random() -> Self {
        let random = RandomState::new();
        Self { seed: random.hash_one(0), shared: SharedSeed::from_u64(random.hash_one(1)) }
    }

    #[inline]
    pub(crate) fn hash(&self, name: &str) -> u64 {
        self.hash_bytes(name.as_bytes())
    }

    #[inline]
    fn hash_bytes(&self, name: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(name);
        hasher.finish()
    }
}

/// Prints no key.
impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}

/// What is found by a hash, and by a look at what has it.
#[derive(Debug)]
pub(crate) struct ByHash<T> {
    map: HashMap<u64, T, BuildHasherDefault<Hashed>>,
    /// What has the hash of something else that was put in before. With a keyed hash of 64 bits there is none but by a rare chance.
    collided: Vec<(u64, T)>,
}

impl<T> Default for ByHash<T> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<T> ByHash<T> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { map: HashMap::with_capacity_and_hasher(capacity, BuildHasherDefault::default()), collided: Vec::new() }
    }

    /// How many it takes before it grows.
    pub(crate) fn capacity(&self) -> usize {
        self.map.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.map.clear();
        self.collided.clear();
    }
}

impl<T: Copy + PartialEq> ByHash<T> {
    /// What has this hash and is what is meant.
    #[inline]
    pub(crate) fn get(&self, hash: u64, is_meant: impl Fn(T) -> bool) -> Option<T> {
        self.find(hash, |found| is_meant(found).then_some(found))
    }

    /// What `look` makes of what has this hash and is what is meant; of what is not, it makes nothing.
    #[inline]
    pub(crate) fn find<R>(&self, hash: u64, look: impl Fn(T) -> Option<R>) -> Option<R> {
        if let Some(meant) = self.map.get(&hash).and_then(|found| look(*found)) {
            return Some(meant);
        }
        let mut collided = self.collided.iter().filter(|(other, _)| *other == hash);
        collided.find_map(|(_, found)| look(*found))
    }

    /// Puts in what takes the place of what is meant, if that is here.
    pub(crate) fn put(&mut self, hash: u64, new: T, is_meant: impl Fn(T) -> bool) {
        match self.map.entry(hash) {
            Entry::Vacant(vacant) => {
                vacant.insert(new);
            }
            Entry::Occupied(mut found) if is_meant(*found.get()) => {
                found.insert(new);
            }
            Entry::Occupied(_) => {
                self.collided.retain(|(other, found)| *other != hash || !is_meant(*found));
                self.collided.push((hash, new));
            }
        }
    }

    /// Removes just this, where nothing has taken its place.
    pub(crate) fn remove(&mut self, hash: u64, old: T) {
        if !self.collided.is_empty() {
            self.collided.retain(|collided| *collided != (hash, old));
        }
        if let Entry::Occupied(found) = self.map.entry(hash)
            && *found.get() == old
        {
            found.remove();
        }
    }
}

/// Entries by name, each with a number, in the order they came.
#[derive(Debug)]
pub(super) struct Names<T> {
    keyed: Keyed,
    numbers: ByHash<u32>,
    entries: Chunks<T>,
    text_bytes: usize,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { keyed: Keyed::at_random(), numbers: ByHash::default(), entries: Chunks::default(), text_bytes: 0 }
    }
}

impl<T: Named> Names<T> {
    /// An empty one that takes as many entries as this one has before its table grows, and hashes as this one.
    pub(super) fn with_same_room(&self) -> Self {
        let numbers = ByHash::with_capacity(self.entries.len());
        Self { keyed: self.keyed.clone(), numbers, entries: Chunks::default(), text_bytes: 0 }
    }

    /// How it hashes.
    pub(super) fn keyed(&self) -> &Keyed {
        &self.keyed
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all names.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    pub(super) fn find(&self, name: &str) -> Found {
        self.find_hashed(self.keyed.hash(name), name)
    }

    /// The same for the bytes of a name.
    #[inline]
    pub(super) fn find_bytes(&self, name: &[u8]) -> Found {
        let hash = self.keyed.hash_bytes(name);
        Found { hash, number: self.known_bytes(hash, name).map(|(number, _)| number) }
    }

    /// The same for a name whose hash is known.
    #[inline]
    pub(super) fn find_hashed(&self, hash: u64, name: &str) -> Found {
        Found { hash, number: self.known(hash, name).map(|(number, _)| number) }
    }

    /// The number and the entry of a name whose hash is known.
    #[inline]
    pub(super) fn known(&self, hash: u64, name: &str) -> Option<(u32, &T)> {
        self.known_bytes(hash, name.as_bytes())
    }

    #[inline]
    fn known_bytes(&self, hash: u64, name: &[u8]) -> Option<(u32, &T)> {
        self.numbers.find(hash, |number| {
            let entry = self.entries.get(index(number))?;
            let known = entry.name().as_bytes();
            // Who keeps a stream's name and uses it again shares it with what is here.
            (std::ptr::eq(known, name) || known == name).then_some((number, entry))
        })
    }

    /// Puts in an entry whose name was looked for and is not there. Returns its number.
    pub(super) fn insert(&mut self, found: Found, entry: T) -> u32 {
        debug_assert!(found.number.is_none(), "each name is there once");
        let number = number(self.entries.len());
        self.text_bytes += entry.name().len();
        self.entries.push(entry);
        self.numbers.put(found.hash, number, |_| false);
        number
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(index(self.find(name).number?))
    }

    /// The entry with a number that was given here.
    pub(super) fn at(&self, number: u32) -> &T {
        self.entries.get(index(number)).unwrap_or_else(|| unreachable!("a number is given with its entry"))
    }

    /// The same, to be changed.
    pub(super) fn at_mut(&mut self, number: u32) -> &mut T {
        self.entries.get_mut(index(number)).unwrap_or_else(|| unreachable!("a number is given with its entry"))
    }

    /// All, in the order they came.
    pub(super) fn into_entries(self) -> impl Iterator<Item = T> {
        self.entries.into_iter()
    }

    /// All, in the order they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }
}

/// The number of what is put in next.
pub(super) fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| unreachable!("a tail has fewer events"))
}

pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Takes a hash for what it is.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed here")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Named for String {
        fn name(&self) -> &str {
            self
        }
    }

    #[test]
    fn what_was_put_in_is_found_by_its_name_and_stays_in_order() {
        let mut names = Names::<String>::default();
        let all: Vec<String> = (0..3 * CHUNK_ENTRIES).map(|i| format!("wallet-{i}")).collect();
        for name in &all {
            let found = names.find(name);
            assert_eq!(found.number, None);
            names.insert(found, name.clone());
        }
        for (number, name) in (0u32..).zip(&all) {
            assert_eq!(names.find(name).number, Some(number));
            assert_eq!(names.get(name), Some(name));
            assert_eq!(names.at_mut(number), name);
        }
        assert_eq!((names.get("wallet-"), names.len()), (None, all.len()));
        assert_eq!(names.text_bytes(), all.iter().map(String::len).sum::<usize>());
        assert!(names.iter().eq(&all));
        assert_eq!(names.with_same_room().len(), 0);
    }

    #[test]
    fn each_table_has_a_key_of_its_own() {
        let hashes = [Keyed::at_random(), Keyed::at_random(), Keyed::at_random()].map(|keyed| keyed.hash("wallet-1"));
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
    }

    #[test]
    fn a_table_hashes_as_the_one_that_it_succeeds() {
        let names = Names::<String>::default();
        let next = names.with_same_room();
        assert_eq!(names.keyed().hash("wallet-1"), next.keyed().hash("wallet-1"));
    }

    #[test]
    fn what_takes_a_place_is_found_there_until_just_it_is_removed() {
        let all = ["a", "b", "a", "b", "c"];
        let is = |name: &'static str| move |number: usize| all[number] == name;
        let mut numbers = ByHash::default();
        for (number, name) in all.into_iter().enumerate() {
            numbers.put(7, number, is(name));
        }
        let found = |numbers: &ByHash<usize>| ["a", "b", "c", "d"].map(|name| numbers.get(7, is(name)));
        assert_eq!(found(&numbers), [Some(2), Some(3), Some(4), None]);
        numbers.remove(7, 0);
        numbers.remove(7, 1);
        assert_eq!(found(&numbers), [Some(2), Some(3), Some(4), None]);
        numbers.remove(7, 2);
        assert_eq!(found(&numbers), [None, Some(3), Some(4), None]);
        numbers.put(7, 0, is("a"));
        numbers.remove(7, 3);
        assert_eq!(found(&numbers), [Some(0), None, Some(4), None]);
        numbers.clear();
        assert_eq!(found(&numbers), [None; 4]);
    }

    #[test]
    fn names_with_one_hash_are_told_apart() {
        let mut names = Names::<String>::default();
        for (hash, name) in [(7, "a"), (7, "b"), (8, "c"), (7, "d"), (8, "e")] {
            let found = names.find_hashed(hash, name);
            assert_eq!(found.number, None);
            names.insert(found, name.to_owned());
        }
        let numbers = |hash| ["a", "b", "c", "d", "e", "f"].map(|name| names.find_hashed(hash, name).number);
        assert_eq!(numbers(7), [Some(0), Some(1), None, Some(3), None, None]);
        assert_eq!(numbers(8), [None, None, Some(2), None, Some(4), None]);
        assert_eq!(numbers(9), [None; 6]);
    }

    #[test]
    fn numbers_come_back_in_every_range() {
        let mut numbers = Numbers::of(3);
        for number in [5, 6, 9] {
            numbers.push(number);
        }
        let all = [3, 5, 6, 9];
        for start in 0..6 {
            for end in start..6 {
                let expected = all.get(start.min(4)..end.min(4)).unwrap();
                assert_eq!(numbers.range(start, end).collect::<Vec<_>>(), expected, "{start}..{end}");
            }
        }
        assert_eq!((numbers.first(), numbers.last(), numbers.len()), (3, 9, 4));
        assert_eq!((Numbers::of(3).last(), Numbers::of(3).len()), (3, 1));
        for bound in 0..11 {
            let before = all.iter().filter(|number| **number < bound).count();
            assert_eq!(numbers.partition_point(|number| number < bound), before, "{bound}");
        }
    }
}
