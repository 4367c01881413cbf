//! Names that a reader has met, so that an event costs no copy of its stream's name and of its type.

use crate::error::Result;
use crate::format::frame::to_u64;
use crate::types::{EventType, StreamId};

/// Slots for types at first, and at most: few lie in a cache, and a table of names that does not is slower than making them.
const SLOTS_MIN: usize = 16;
const SLOTS_MAX: usize = 256;

/// The names met last. One that comes again is shared. Of streams only the last is kept: one of thousands that come in turn
/// would have left the cache until then.
#[derive(Debug, Default)]
pub(crate) struct Names {
    stream: Option<StreamId>,
    /// Looked at before the table is: most events are of the type of the one before.
    event_type: Option<EventType>,
    types: Slots<EventType>,
}

impl Names {
    /// # Errors
    /// `InvalidInput`: it is no stream's name.
    pub(crate) fn stream(&mut self, name: &str) -> Result<StreamId> {
        match &self.stream {
            Some(known) if known.as_str() == name => Ok(known.clone()),
            _ => Ok(self.stream.insert(StreamId::new(name)?).clone()),
        }
    }

    /// # Errors
    /// `InvalidInput`: it is no event type.
    #[inline]
    pub(crate) fn event_type(&mut self, name: &str) -> Result<EventType> {
        match &self.event_type {
            Some(known) if known.as_str() == name => Ok(known.clone()),
            _ => Ok(self.event_type.insert(self.types.get(name, |name| EventType::new(name))?).clone()),
        }
    }
}

/// A table with one place for a name, which the last one takes.
#[derive(Debug)]
struct Slots<T> {
    slots: Vec<Option<T>>,
    /// Names made since it grew.
    made: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), made: 0 }
    }
}

impl<T: AsRef<str> + Clone> Slots<T> {
    fn get(&mut self, name: &str, make: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let place = place(name, self.slots.len());
        if let Some(Some(known)) = self.slots.get(place)
            && known.as_ref() == name
        {
            return Ok(known.clone());
        }
        let made = make(name)?;
        self.made += 1;
        if self.made > self.slots.len() && self.slots.len() < SLOTS_MAX {
            self.grow();
        }
        let place = self::place(name, self.slots.len());
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some(made.clone());
        }
        Ok(made)
    }

    fn grow(&mut self) {
        let length = (2 * self.slots.len()).max(SLOTS_MIN);
        let known = std::mem::replace(&mut self.slots, vec![None; length]);
        self.made = 0;
        for name in known.into_iter().flatten() {
            let place = place(name.as_ref(), length);
            if let Some(slot) = self.slots.get_mut(place) {
                *slot = Some(name);
            }
        }
    }
}

/// A slot for a name. Names often differ in a few of their last bytes alone, so all bits are mixed.
fn place(name: &str, slots: usize) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let mut hash = to_u64(name.len());
    for word in words.iter().chain(std::iter::once(&last)) {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(32);
    }
    usize::try_from(hash.wrapping_mul(FACTOR) >> 40).unwrap_or(0) & slots.wrapping_sub(1)
}

const _: () = assert!(SLOTS_MIN.is_power_of_two() && SLOTS_MAX.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_its_own_whatever_was_met_before() {
        let mut names = Names::default();
        for round in 0..3 {
            for number in 0..3 * SLOTS_MAX {
                let name = format!("till-{:05}", number * 7_919 % (3 * SLOTS_MAX));
                assert_eq!(names.stream(&name).unwrap().as_str(), name, "round {round}");
                assert_eq!(names.event_type(&name).unwrap().as_str(), name, "round {round}");
            }
            assert_eq!(names.types.slots.len(), SLOTS_MAX);
        }
        assert!(names.stream("").is_err() && names.event_type("\n").is_err());
    }

    #[test]
    fn a_name_that_comes_again_is_shared() {
        let mut names = Names::default();
        let first = names.event_type("Deposited").unwrap();
        names.event_type("Withdrawn").unwrap();
        let again = names.event_type("Deposited").unwrap();
        assert!(std::ptr::eq(first.as_str(), again.as_str()));
        let first = names.stream("a-1").unwrap();
        assert!(std::ptr::eq(first.as_str(), names.stream("a-1").unwrap().as_str()));
        assert_eq!(names.stream("a-2").unwrap().as_str(), "a-2");
    }
}
