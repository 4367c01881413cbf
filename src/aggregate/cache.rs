//! The states used last, so that a hot aggregate is not read again for every command.
//!
//! Two generations instead of a list by age: a state that is used lives in the young one; when that is full it becomes
//! the old one, and the old one is dropped. What was used within the last `states_max / 2` distinct states is always there,
//! there are never more than `states_max`, and no use costs more than two look-ups.
//!
//! What is here may be stale. That is safe: every append names the version that it was decided on, and a refusal is
//! checked against the stream's head before it is given.

use std::collections::HashMap;
use std::sync::Arc;

use super::Loaded;
use crate::sync::Mutex;

#[derive(Debug)]
struct Generations<A> {
    young: HashMap<String, Arc<Loaded<A>>>,
    old: HashMap<String, Arc<Loaded<A>>>,
}

#[derive(Debug)]
pub(super) struct Cache<A> {
    generations: Mutex<Generations<A>>,
    states_max: usize,
}

impl<A> Cache<A> {
    pub(super) fn new(states_max: usize) -> Self {
        Self { generations: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }), states_max }
    }

    pub(super) fn get(&self, aggregate_id: &str) -> Option<Arc<Loaded<A>>> {
        let mut generations = self.generations.lock();
        if let Some(loaded) = generations.young.get(aggregate_id) {
            return Some(Arc::clone(loaded));
        }
        let (id, loaded) = generations.old.remove_entry(aggregate_id)?;
        let found = Arc::clone(&loaded);
        self.insert_young(&mut generations, id, loaded);
        Some(found)
    }

    /// Keeps `loaded`, unless a newer state is there.
    pub(super) fn put(&self, aggregate_id: &str, loaded: Arc<Loaded<A>>) {
        let mut generations = self.generations.lock();
        let Generations { young, old } = &*generations;
        let known = young.get(aggregate_id).or_else(|| old.get(aggregate_id));
        if known.is_some_and(|known| known.version > loaded.version) {
            return;
        }
        generations.old.remove(aggregate_id);
        self.insert_young(&mut generations, aggregate_id.to_owned(), loaded);
    }

    /// Forgets a state.
    pub(super) fn remove(&self, aggregate_id: &str) {
        let mut generations = self.generations.lock();
        generations.young.remove(aggregate_id);
        generations.old.remove(aggregate_id);
    }

    /// Every state that is kept.
    pub(super) fn all(&self) -> Vec<(String, Arc<Loaded<A>>)> {
        let generations = self.generations.lock();
        let both = generations.young.iter().chain(&generations.old);
        both.map(|(id, loaded)| (id.clone(), Arc::clone(loaded))).collect()
    }

    fn insert_young(&self, generations: &mut Generations<A>, id: String, loaded: Arc<Loaded<A>>) {
        let half = self.states_max / 2;
        if half == 0 {
            return;
        }
        if generations.young.len() >= half && !generations.young.contains_key(&id) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(id, loaded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::LoadedFrom;
    use crate::types::{Sequence, Version};

    fn loaded(version: u64) -> Arc<Loaded<u64>> {
        Arc::new(Loaded {
            state: version,
            version: Version::new(version),
            last_event_sequence: Sequence::new(version),
            loaded_from: LoadedFrom::Beginning,
            events_replayed: version,
            snapshot_version: Version::ZERO,
        })
    }

    #[test]
    fn it_never_holds_more_than_its_limit_and_keeps_what_is_used() {
        let cache = Cache::new(8);
        cache.put("hot", loaded(1));
        for round in 0..1_000 {
            cache.put(&format!("cold {round}"), loaded(1));
            assert!(cache.get("hot").is_some(), "round {round}");
            assert!(cache.all().len() <= 8);
        }
        assert!(cache.get("cold 0").is_none());
    }

    #[test]
    fn an_older_state_never_takes_the_place_of_a_newer_one() {
        let cache = Cache::new(8);
        cache.put("a", loaded(5));
        cache.put("a", loaded(4));
        assert_eq!(cache.get("a").unwrap().state, 5);
        cache.put("a", loaded(6));
        assert_eq!(cache.get("a").unwrap().state, 6);
        cache.remove("a");
        assert!(cache.get("a").is_none());
    }

    #[test]
    fn a_cache_for_nothing_holds_nothing() {
        let cache = Cache::new(0);
        cache.put("a", loaded(5));
        assert!(cache.get("a").is_none());
    }
}
