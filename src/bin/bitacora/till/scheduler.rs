//! Who may work on what, apart from threads.
//!
//! Invariants: at most one item of a user is out at a time; a user's items come out in the order they went in; an item that
//! is ready comes out before one that became ready later.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Items that wait for their user's turn.
#[derive(Debug)]
pub(crate) struct Scheduler<T> {
    /// Users with an item that is ready or out, each with what waits behind it.
    busy: HashMap<Arc<str>, VecDeque<T>>,
    ready: VecDeque<(Arc<str>, T)>,
    /// Items that went in and are not finished.
    pending: usize,
}

impl<T> Scheduler<T> {
    pub(crate) fn new() -> Self {
        Self { busy: HashMap::new(), ready: VecDeque::new(), pending: 0 }
    }

    /// Adds an item behind its user's others.
    pub(crate) fn push(&mut self, user: &str, item: T) {
        self.pending = self.pending.saturating_add(1);
        if let Some(waiting) = self.busy.get_mut(user) {
            waiting.push_back(item);
            return;
        }
        let user: Arc<str> = Arc::from(user);
        self.busy.insert(Arc::clone(&user), VecDeque::new());
        self.ready.push_back((user, item));
    }

    /// The next item that may be worked on. Its user has to be [finished](Self::finish) before another of theirs comes out.
    pub(crate) fn take(&mut self) -> Option<(Arc<str>, T)> {
        self.ready.pop_front()
    }

    /// Says that the item of `user` that is out has its outcome.
    pub(crate) fn finish(&mut self, user: &Arc<str>) {
        let Some(waiting) = self.busy.get_mut(user) else {
            debug_assert!(false, "a user was finished who had nothing out");
            return;
        };
        self.pending = self.pending.saturating_sub(1);
        match waiting.pop_front() {
            Some(item) => self.ready.push_back((Arc::clone(user), item)),
            None => {
                self.busy.remove(user);
            }
        }
    }

    /// Items that are not finished, those that are out included.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_one_item_out_and_gets_the_next_when_it_is_finished() {
        let mut scheduler = Scheduler::new();
        scheduler.push("a", 1);
        scheduler.push("a", 2);
        scheduler.push("b", 3);
        let (a, first) = scheduler.take().unwrap();
        let (b, other) = scheduler.take().unwrap();
        assert_eq!((first, other), (1, 3));
        assert!(scheduler.take().is_none());
        scheduler.finish(&a);
        assert_eq!(scheduler.take().map(|(_, item)| item), Some(2));
        scheduler.finish(&b);
        assert!(scheduler.take().is_none());
        assert_eq!(scheduler.pending(), 1);
        scheduler.finish(&a);
        assert_eq!(scheduler.pending(), 0);
        assert!(scheduler.busy.is_empty());
    }

    /// Goal: order within a user holds whatever the interleaving. Method: finish items in every pseudo-random order, with up
    /// to five out at once, and compare each user's order with the order of arrival.
    #[test]
    fn order_within_a_user_holds_under_any_interleaving() {
        for seed in 1..200u64 {
            let mut scheduler = Scheduler::new();
            let mut random = seed;
            let mut draw = |below: usize| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) as usize % below
            };
            let mut out: Vec<(Arc<str>, u32)> = Vec::new();
            let mut seen: HashMap<String, Vec<u32>> = HashMap::new();
            let mut next = 0;
            while next < 60 || scheduler.pending() > 0 {
                if next < 60 && draw(2) == 0 {
                    let user = ["a", "b", "c", "d"][draw(4)];
                    scheduler.push(user, next);
                    next += 1;
                }
                while out.len() < 5
                    && let Some((user, item)) = scheduler.take()
                {
                    assert!(out.iter().all(|(other, _)| *other != user));
                    seen.entry(user.to_string()).or_default().push(item);
                    out.push((user, item));
                }
                if !out.is_empty() && draw(2) == 0 {
                    let (user, _) = out.swap_remove(draw(out.len()));
                    scheduler.finish(&user);
                }
            }
            assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 60);
            for items in seen.values() {
                assert!(items.is_sorted(), "seed {seed}: {items:?}");
            }
        }
    }
}
