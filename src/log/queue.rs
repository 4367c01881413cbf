//! Group commit as a state machine: who joins which group, who leads it, who is woken.
//!
//! Commits join the *forming* group. One caller takes it, writes and syncs it, and answers its members; while it does, the
//! next group forms. The caller leads with the *lead token*, of which there is exactly one: it lies in the forming group's
//! word (`LEAD`) while nobody works, and whoever changes that word to `LED` has it.
//!
//! Invariants:
//! 1. At most one caller has the token between [`Queue::take`] and [`Queue::finish`].
//! 2. A group's word goes `FORMING` -> `LEAD` -> `LED` -> `DONE`, or starts at `LEAD` where the token is free; never back.
//! 3. A group's result is set before its word becomes `DONE`; nobody is answered before.
//! 4. Commits are taken in the order in which they joined.
//! 5. After [`Queue::poison`] nothing joins.
//!
//! The machine does no I/O and takes no lock; the store keeps it under its commit lock.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::Error;
use crate::format::frame::to_u64;
use crate::sabotage::{self, Defect};
use crate::sync::{AtomicU64, OnceLock, Ordering, WaitWord};
use crate::types::Timestamp;

/// The group takes members, and another group is being written.
pub(crate) const FORMING: u32 = 0;
/// The group takes members, and whoever comes first leads it.
pub(crate) const LEAD: u32 = 1;
/// The group is being written.
pub(crate) const LED: u32 = 2;
/// The group's result is there.
pub(crate) const DONE: u32 = 3;

/// What the members of one group share. The word says when its result may be looked at.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) word: WaitWord,
    /// How many of its commits went through; [`OPEN`] while that is not known.
    completed: AtomicU64,
    timestamp: AtomicU64,
    failure: OnceLock<Error>,
}

const OPEN: u64 = u64::MAX;

/// Commits of one group. Few take no memory of their own.
pub(crate) type Members<C> = SmallVec<[C; 4]>;

/// What became of a group. Commits are counted from the group's first.
#[derive(Clone, Debug)]
pub(crate) struct GroupResult {
    /// How many of its commits went through.
    pub(crate) completed: usize,
    /// Why the others did not.
    pub(crate) failure: Option<Error>,
    /// The time of the group's commits.
    pub(crate) timestamp: Timestamp,
}

impl Group {
    fn new(word: u32) -> Arc<Self> {
        Arc::new(Self::open(word))
    }

    fn open(word: u32) -> Self {
        let (completed, timestamp) = (AtomicU64::new(OPEN), AtomicU64::new(0));
        Self { word: WaitWord::new(word), completed, timestamp, failure: OnceLock::new() }
    }

    /// A new one in the memory of this one, where nobody else has it any more.
    fn again(mut group: Arc<Self>) -> Option<Arc<Self>> {
        *Arc::get_mut(&mut group)? = Self::open(FORMING);
        Some(group)
    }

    /// Its result, once it has one.
    pub(crate) fn result(&self) -> Option<GroupResult> {
        if self.word.load() != DONE {
            return None;
        }
        let completed = self.completed.load(Ordering::Relaxed);
        let timestamp = Timestamp::from_micros(self.timestamp.load(Ordering::Relaxed).cast_signed());
        let completed = usize::try_from(completed).ok().filter(|_| completed != OPEN)?;
        Some(GroupResult { completed, failure: self.failure.get().cloned(), timestamp })
    }

    /// Sets the result and wakes everybody. The first result stands.
    pub(crate) fn resolve(&self, result: GroupResult) {
        if sabotage::has(Defect::WakeBeforeResult) {
            self.word.store(DONE);
            self.word.wake_all();
        }
        if self.completed.load(Ordering::Relaxed) == OPEN {
            let GroupResult { completed, failure, timestamp } = result;
            if let Some(failure) = failure {
                let _ = self.failure.set(failure);
            }
            self.timestamp.store(timestamp.as_micros().cast_unsigned(), Ordering::Relaxed);
            self.completed.store(to_u64(completed), Ordering::Relaxed);
        }
        self.word.store(DONE);
        self.word.wake_all();
    }
}

/// The queue of commits of type `C`.
#[derive(Debug)]
pub(crate) struct Queue<C> {
    forming: Arc<Group>,
    commits: Members<C>,
    bytes: u64,
    bytes_max: u64,
    leading: Option<Arc<Group>>,
    /// The group that was led last, whose memory may serve again.
    done: Option<Arc<Group>>,
    poison: Option<Error>,
}

/// What became of a wish to join.
#[derive(Debug)]
pub(crate) enum Joined {
    /// It is in this group, at this place.
    In(Arc<Group>, usize),
    /// The forming group is full: wait until it is taken, and try again. The commit is dropped.
    Full,
}

impl<C> Queue<C> {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            forming: Group::new(LEAD),
            commits: SmallVec::new(),
            bytes: 0,
            bytes_max,
            leading: None,
            done: None,
            poison: None,
        }
    }

    /// Why nothing may join any more.
    pub(crate) fn poisoned(&self) -> Option<&Error> {
        self.poison.as_ref()
    }

    /// Adds a commit of so many bytes. One that is larger than a group may be has a group of its own.
    pub(crate) fn join(&mut self, commit: C, bytes: u64) -> Joined {
        assert!(self.poison.is_none(), "nothing joins a poisoned queue");
        if !self.has_room(bytes) {
            return Joined::Full;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.commits.push(commit);
        Joined::In(Arc::clone(&self.forming), self.commits.len() - 1)
    }

    /// Whether a commit of so many bytes would be taken now; where not, the group to wait for.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.commits.is_empty() || self.bytes.saturating_add(bytes) <= self.bytes_max
    }

    /// The group that forms.
    pub(crate) fn forming(&self) -> &Arc<Group> {
        &self.forming
    }

    /// The group that is led.
    pub(crate) fn leading(&self) -> Option<&Arc<Group>> {
        self.leading.as_ref()
    }

    /// Whether a group waits for somebody to lead it.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.commits.is_empty() && self.forming.word.load() == LEAD
    }

    /// Whether nothing waits and nothing is led.
    pub(crate) fn is_idle(&self) -> bool {
        self.commits.is_empty() && self.leading.is_none()
    }

    /// Takes the commits of the forming group, which the caller has changed from `LEAD` to `LED`.
    pub(crate) fn take(&mut self, group: &Group) -> Members<C> {
        assert!(self.leading.is_none(), "one leads at a time");
        assert!(std::ptr::eq(Arc::as_ptr(&self.forming), group), "the group that forms is led");
        assert_eq!(group.word.load(), LED, "the caller has the token");
        let next = self.done.take().and_then(Group::again).unwrap_or_else(|| Group::new(FORMING));
        self.leading = Some(std::mem::replace(&mut self.forming, next));
        self.bytes = 0;
        // The next group is likely to be as large.
        let room = SmallVec::with_capacity(self.commits.len());
        std::mem::replace(&mut self.commits, room)
    }

    /// Ends the caller's lead: the token passes to the forming group, which is returned to be woken where it has members that nobody
    /// leads yet.
    pub(crate) fn finish(&mut self) -> Option<Arc<Group>> {
        self.done = self.leading.take();
        assert!(self.done.is_some(), "somebody led");
        let passed = self.forming.word.change(FORMING, LEAD);
        assert!(passed, "the forming group had no token");
        self.is_waiting().then(|| Arc::clone(&self.forming))
    }

    /// Removes what is forming, for it cannot go through after what was led failed cleanly. Its group is done with, and a
    /// new one forms.
    pub(crate) fn abandon_forming(&mut self) -> (Arc<Group>, Members<C>) {
        assert!(self.leading.is_some(), "only who leads abandons");
        let group = std::mem::replace(&mut self.forming, Group::new(FORMING));
        self.bytes = 0;
        (group, std::mem::take(&mut self.commits))
    }

    /// Nothing joins any more. Returns the groups that are not done, for their members to be answered: what was led, and
    /// what formed.
    pub(crate) fn poison(&mut self, why: Error) -> (Option<Arc<Group>>, Arc<Group>) {
        self.poison.get_or_insert(why);
        self.commits.clear();
        self.bytes = 0;
        (self.leading.clone(), Arc::clone(&self.forming))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn place(joined: Joined) -> (Arc<Group>, usize) {
        match joined {
            Joined::In(group, place) => (group, place),
            Joined::Full => panic!("full"),
        }
    }

    #[test]
    fn the_first_to_come_leads_and_the_next_group_forms_meanwhile() {
        let mut queue = Queue::new(100);
        let (first, at) = place(queue.join("a", 10));
        assert_eq!((first.word.load(), at), (LEAD, 0));
        assert!(queue.is_waiting());
        assert!(first.word.change(LEAD, LED));
        let led = Arc::clone(&first);
        assert_eq!(queue.take(&led).as_slice(), ["a"]);
        assert!(Arc::ptr_eq(queue.leading().unwrap(), &first));
        let (second, at) = place(queue.join("b", 10));
        assert_eq!((second.word.load(), at), (FORMING, 0));
        assert_eq!(place(queue.join("c", 10)).1, 1);
        assert!(!queue.is_waiting());
        let next = queue.finish();
        assert!(Arc::ptr_eq(&next.unwrap(), &second), "it has members to be woken");
        assert_eq!(second.word.load(), LEAD);
        led.resolve(GroupResult { completed: 1, failure: None, timestamp: Timestamp::EPOCH });
        assert_eq!(led.result().unwrap().completed, 1);
    }

    #[test]
    fn a_group_is_bounded_in_bytes_and_a_large_commit_goes_alone() {
        let mut queue = Queue::new(100);
        place(queue.join("large", 1000));
        assert!(matches!(queue.join("b", 1), Joined::Full));
        let group = Arc::clone(queue.forming());
        assert!(group.word.change(LEAD, LED));
        queue.take(&group);
        place(queue.join("b", 60));
        place(queue.join("c", 40));
        assert!(matches!(queue.join("d", 1), Joined::Full));
    }

    #[test]
    fn the_memory_of_a_group_serves_again_once_nobody_has_it() {
        let mut queue = Queue::new(100);
        let result = || GroupResult { completed: 1, failure: None, timestamp: Timestamp::EPOCH };
        let lead = |queue: &mut Queue<&str>| {
            let (group, _) = place(queue.join("a", 1));
            assert!(group.result().is_none() && group.word.change(LEAD, LED));
            queue.take(&group);
            assert!(queue.finish().is_none(), "nobody is to be woken");
            group.resolve(result());
            assert_eq!(group.result().unwrap().completed, 1);
            group
        };
        let first = lead(&mut queue);
        let address = Arc::as_ptr(&first);
        let second = lead(&mut queue);
        assert_ne!(Arc::as_ptr(queue.forming()), address, "somebody has it");
        drop((first, second));
        let second = Arc::as_ptr(&lead(&mut queue));
        lead(&mut queue);
        assert_eq!(Arc::as_ptr(&lead(&mut queue)), second);
    }

    #[test]
    fn nothing_is_answered_before_its_result() {
        let mut queue = Queue::new(100);
        let (group, _) = place(queue.join("a", 1));
        assert!(group.result().is_none());
        assert!(group.word.change(LEAD, LED));
        queue.take(&group);
        assert!(group.result().is_none());
        let (led, forming) = queue.poison(Error::new(ErrorKind::Poisoned, "sync failed"));
        assert!(Arc::ptr_eq(&led.unwrap(), &group));
        assert_eq!(forming.word.load(), FORMING);
        assert!(queue.poisoned().is_some());
    }
}
