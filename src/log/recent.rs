//! What was used last, as much of it as there is room for.

use smallvec::SmallVec;

/// A few values by key; where it is full, the one that was used longest ago makes room. Few enough to be looked through.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: Vec<(K, V, u64)>,
    uses: u64,
    max: usize,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { entries: Vec::new(), uses: 0, max }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let uses = self.uses;
        let entry = self.entries.iter_mut().find(|entry| entry.0 == *key)?;
        entry.2 = uses;
        Some(entry.1.clone())
    }

    /// From now on at most so many are kept.
    pub(crate) fn bound(&mut self, max: usize) {
        self.max = max;
    }

    pub(crate) fn has(&self, key: &K) -> bool {
        self.entries.iter().any(|entry| entry.0 == *key)
    }

    /// Keeps a value; the keys of those that made room for it.
    pub(crate) fn put(&mut self, key: K, value: V) -> SmallVec<[K; 1]> {
        self.uses += 1;
        self.remove(&key);
        let mut evicted = SmallVec::new();
        while self.entries.len() >= self.max {
            let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.2).map(|(at, _)| at);
            evicted.extend(oldest.map(|at| self.entries.swap_remove(at).0));
        }
        self.entries.push((key, value, self.uses));
        assert!(self.entries.len() <= self.max, "what is kept is bounded");
        evicted
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.retain(|entry| entry.0 != *key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_used_longest_ago_makes_room() {
        let mut recent = Recent::new(2);
        recent.put(1, 'a');
        recent.put(2, 'b');
        assert_eq!(recent.get(&1), Some('a'));
        assert_eq!(recent.put(3, 'c').as_slice(), [2]);
        assert_eq!([1, 2, 3].map(|key| recent.get(&key)), [Some('a'), None, Some('c')]);
        recent.put(3, 'd');
        recent.remove(&1);
        assert_eq!([1, 3].map(|key| recent.get(&key)), [None, Some('d')]);
        recent.put(4, 'e');
        recent.bound(1);
        assert_eq!(recent.put(5, 'f').as_slice(), [3, 4]);
        assert_eq!([3, 4, 5].map(|key| recent.has(&key)), [false, false, true]);
    }
}
