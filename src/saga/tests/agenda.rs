//! The agenda against a plain list.

use proptest::prelude::*;

use super::super::TypeMeaning;
use super::super::agenda::{Agenda, Taken};
use crate::types::{Sequence, Timestamp};

#[derive(Clone, Debug)]
enum Op {
    Begin(u8),
    Move(u8),
    End(u8),
    Take(i64),
    PutBack { which: usize, due: Option<i64>, has_seen: bool },
    Finish { which: usize, has_seen: bool },
    Set(u8, Option<i64>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..6_u8).prop_map(Op::Begin),
        (0..6_u8).prop_map(Op::Move),
        (0..6_u8).prop_map(Op::End),
        (0..400_i64).prop_map(Op::Take),
        (0..4_usize, prop::option::of(0..400_i64), any::<bool>()).prop_map(|(which, due, has_seen)| Op::PutBack {
            which,
            due,
            has_seen
        }),
        (0..4_usize, any::<bool>()).prop_map(|(which, has_seen)| Op::Finish { which, has_seen }),
        (0..6_u8, prop::option::of(0..400_i64)).prop_map(|(id, due)| Op::Set(id, due)),
    ];
    prop::collection::vec(op, 1..300)
}

/// A plain list of what is open: looked through from front to back for everything.
#[derive(Clone, Debug)]
struct Line {
    id: u8,
    due: Option<i64>,
    is_taken: bool,
    covered: u64,
    noted: (u64, i64),
}

#[derive(Default)]
struct List(Vec<Line>);

impl List {
    fn get(&mut self, id: u8) -> Option<&mut Line> {
        self.0.iter_mut().find(|line| line.id == id)
    }

    fn note(&mut self, id: u8, sequence: u64) {
        let at = sequence.cast_signed();
        if let Some(line) = self.get(id)
            && sequence > line.covered
        {
            line.noted = (sequence, at);
            line.due = if line.is_taken { line.due } else { Some(at) };
        }
    }

    fn put_back(&mut self, id: u8, covered: u64, due: Option<i64>) {
        let Some(line) = self.get(id) else { return };
        line.is_taken = false;
        line.covered = line.covered.max(covered);
        line.due = if line.noted.0 > line.covered { Some(line.noted.1) } else { due };
    }

    fn next_due(&self) -> Option<i64> {
        self.0.iter().filter(|line| !line.is_taken).filter_map(|line| line.due).min()
    }
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

proptest! {
    #[test]
    fn the_agenda_is_a_list_that_is_looked_through(ops in ops()) {
        let (mut agenda, mut list) = (Agenda::default(), List::default());
        // What is taken, with the last event seen of it by then.
        let mut taken: Vec<(Taken, u8, u64)> = Vec::new();
        let mut sequence = 0_u64;
        for op in ops {
            sequence += 1;
            let note = |agenda: &mut Agenda, id: u8, meaning| {
                agenda.note(&id.to_string(), meaning, Sequence::new(sequence), time(sequence.cast_signed()));
            };
            match op {
                Op::Begin(id) => {
                    note(&mut agenda, id, TypeMeaning::Begins);
                    if list.get(id).is_none() {
                        list.0.push(Line { id, due: None, is_taken: false, covered: 0, noted: (0, 0) });
                    }
                    list.note(id, sequence);
                }
                Op::Move(id) => {
                    note(&mut agenda, id, TypeMeaning::Neither);
                    list.note(id, sequence);
                }
                Op::End(id) => {
                    note(&mut agenda, id, TypeMeaning::Ends);
                    list.0.retain(|line| line.id != id);
                    // A life that ended is not begun again in a log; here it would meet who still has it in hands.
                    taken.retain(|(_, other, _)| *other != id);
                }
                Op::Take(now) => {
                    let due = list.next_due().filter(|due| *due <= now);
                    let was_taken = agenda.take_due(time(now));
                    prop_assert_eq!(was_taken.is_some(), due.is_some());
                    if let Some(was_taken) = was_taken {
                        let id: u8 = was_taken.saga_id.parse().unwrap();
                        let line = list.get(id).unwrap();
                        prop_assert_eq!(line.due, due, "the earliest one is taken");
                        prop_assert!(!line.is_taken, "by one at a time");
                        line.is_taken = true;
                        let noted = line.noted.0;
                        taken.push((was_taken, id, noted));
                    }
                }
                Op::PutBack { which, due, has_seen } if which < taken.len() => {
                    let (was_taken, id, noted) = taken.swap_remove(which);
                    let covered = if has_seen { sequence } else { 0 };
                    agenda.put_back(&was_taken, Sequence::new(covered), due.map(time));
                    list.put_back(id, covered.max(noted), due);
                }
                Op::Finish { which, has_seen } if which < taken.len() => {
                    let (was_taken, id, noted) = taken.swap_remove(which);
                    let covered = if has_seen { sequence } else { 0 };
                    agenda.end(&was_taken, Sequence::new(covered));
                    if list.get(id).is_some_and(|line| line.noted.0 > covered.max(noted)) {
                        list.put_back(id, covered.max(noted), None);
                    } else {
                        list.0.retain(|line| line.id != id);
                    }
                }
                Op::Set(id, due) => {
                    agenda.set(&id.to_string(), Sequence::new(sequence), due.map(time));
                    if list.get(id).is_some_and(|line| !line.is_taken) {
                        list.put_back(id, sequence, due);
                    }
                }
                Op::PutBack { .. } | Op::Finish { .. } => {}
            }
            prop_assert_eq!(agenda.next_due(), list.next_due().map(time));
            prop_assert_eq!(agenda.len(), list.0.len());
            prop_assert!(agenda.heap_len() <= 2 * agenda.len() + 65, "overtaken entries are let go");
        }
    }
}
