//! Which event stood at each lost sequence, as far as what is left tells: pure.
//!
//! Sequences and versions have no gaps, so each lost sequence gets a stand-in. A stream that goes on behind a loss says which of its
//! versions are missing, and between which sequences they stood. They are given the lost sequences in order, those first whose
//! stream goes on first: since the versions did stand there once, that always comes out. What is left over was the end of streams
//! that nothing tells of; its stand-ins go to a stream of the store's own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Loss;
use super::salvage::{Facts, Gap, StreamFacts};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Sequence, StreamId, Version};

/// The type of an event that stands, with no payload, for one that a [repair](super::repair) found lost.
pub const EVENT_LOST: &str = "EventLost";
/// Streams of stand-ins start with this; each repair has one of its own, since what stands behind a loss keeps its versions.
const LOST_STREAM: &str = "system-lost-";

/// A file with a segment's name and a high number makes everything before it lost; nobody wants that many stand-ins.
const STAND_INS_MAX: u64 = 100_000_000;

/// Gives each lost sequence, in order, its stream and version.
#[derive(Debug)]
pub(super) struct Filling {
    gaps: Vec<(StreamId, Gap)>,
    /// Gaps that were not come to yet start here.
    waiting: usize,
    /// Gaps that have begun, the one that ends first on top, each with the version it goes on with.
    open: BinaryHeap<Reverse<(Sequence, usize, Version)>>,
    stream: StreamId,
    version: Version,
}

impl Filling {
    pub(super) fn new(facts: &Facts) -> Result<Self> {
        let gaps_of = |(stream, facts): (&StreamId, &StreamFacts)| {
            facts.lost.iter().map(|gap| (stream.clone(), *gap)).collect::<Vec<_>>()
        };
        let mut gaps: Vec<(StreamId, Gap)> = facts.streams.iter().flat_map(gaps_of).collect();
        gaps.sort_by_key(|(_, gap)| gap.after);
        let stream = StreamId::new(format!("{LOST_STREAM}{}", unused(&facts.streams)))?;
        Ok(Self { gaps, waiting: 0, open: BinaryHeap::new(), stream, version: Version::ZERO })
    }

    /// The event that `sequence` gets a stand-in of.
    ///
    /// # Errors
    /// `Refused`: versions are missing for which no sequence is.
    pub(super) fn next(&mut self, sequence: Sequence) -> Result<(StreamId, Version)> {
        while let Some((_, gap)) = self.gaps.get(self.waiting).filter(|(_, gap)| gap.after < sequence) {
            self.open.push(Reverse((gap.before, self.waiting, gap.versions.first)));
            self.waiting += 1;
        }
        let Some(Reverse((before, at, version))) = self.open.pop() else {
            self.version = self.version.next();
            return Ok((self.stream.clone(), self.version));
        };
        let Some((stream, gap)) = self.gaps.get(at) else { unreachable!("what is open is a gap") };
        if before < sequence {
            return Err(without_place(stream, version));
        }
        if version < gap.versions.last {
            self.open.push(Reverse((before, at, version.next())));
        }
        Ok((stream.clone(), version))
    }

    /// That every missing version was given a place.
    ///
    /// # Errors
    /// `Refused`: one was not.
    pub(super) fn finish(mut self) -> Result<()> {
        if let Some(Reverse((_, at, version))) = self.open.pop() {
            return Err(self
                .gaps
                .get(at)
                .map_or_else(|| unreachable!("what is open is a gap"), |(stream, _)| without_place(stream, version)));
        }
        match self.gaps.get(self.waiting) {
            Some((stream, gap)) => Err(without_place(stream, gap.versions.first)),
            None => Ok(()),
        }
    }
}

fn without_place(stream: &StreamId, version: Version) -> Error {
    let text = format!("version {version} of stream {stream} is missing, and no lost sequence can have been its place");
    Error::new(ErrorKind::Refused, text)
}

/// The number after the highest one in use.
fn unused(streams: &BTreeMap<StreamId, StreamFacts>) -> u64 {
    let number = |stream: &StreamId| stream.as_str().strip_prefix(LOST_STREAM)?.parse::<u64>().ok();
    streams.keys().filter_map(number).max().map_or(1, |last| last.saturating_add(1))
}

/// Why what is found cannot be repaired, if it cannot.
pub(super) fn obstacle(facts: &Facts) -> Result<Option<String>> {
    if let Some(misfit) = &facts.misfit {
        return Ok(Some(misfit.clone()));
    }
    let count = |loss: &Loss| loss.last.get() - loss.first.get();
    if facts.lost.iter().map(count).fold(0, u64::saturating_add) > STAND_INS_MAX {
        return Ok(Some(format!(
            "more than {STAND_INS_MAX} events are lost; is a file in log/ that is not of this store?"
        )));
    }
    let mut filling = Filling::new(facts)?;
    let mut fill = || -> Result<()> {
        for loss in &facts.lost {
            for sequence in loss.first.get()..=loss.last.get() {
                filling.next(Sequence::new(sequence))?;
            }
        }
        Ok(())
    };
    match fill().and_then(|()| filling.finish()) {
        Ok(()) => Ok(None),
        Err(error) => Ok(Some(Error::to_string(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::VersionRange;
    use super::*;

    fn gap(versions: (u64, u64), after: u64, before: u64) -> Gap {
        let versions = VersionRange { first: Version::new(versions.0), last: Version::new(versions.1) };
        Gap { versions, after: Sequence::new(after), before: Sequence::new(before) }
    }

    fn facts(streams: &[(&str, Vec<Gap>)], lost: &[(u64, u64)]) -> Facts {
        let streams = streams.iter().map(|(name, lost)| {
            (StreamId::new(*name).unwrap(), StreamFacts { lost: lost.clone(), ..StreamFacts::default() })
        });
        let lost = lost.iter().map(|(first, last)| Loss {
            first: Sequence::new(*first),
            last: Sequence::new(*last),
            file: String::new(),
            offset: 0,
        });
        Facts { streams: streams.collect(), lost: lost.collect(), ..Facts::default() }
    }

    fn places(facts: &Facts) -> Vec<String> {
        let mut filling = Filling::new(facts).unwrap();
        let sequences = facts.lost.iter().flat_map(|loss| loss.first.get()..=loss.last.get());
        let places = sequences.map(|sequence| {
            let (stream, version) = filling.next(Sequence::new(sequence)).unwrap();
            format!("{sequence}:{stream}@{version}")
        });
        let places = places.collect();
        filling.finish().unwrap();
        places
    }

    #[test]
    fn a_stream_that_goes_on_first_gets_its_place_first() {
        let b = gap((3, 3), 2, 6);
        let facts = facts(&[("a", vec![gap((5, 6), 1, 30)]), ("b", vec![b])], &[(4, 5), (10, 12)]);
        let expected = ["4:b@3", "5:a@5", "10:a@6", "11:system-lost-1@1", "12:system-lost-1@2"];
        assert_eq!(places(&facts), expected);
    }

    #[test]
    fn a_later_loss_has_a_stream_of_its_own_for_what_nothing_tells_of() {
        assert_eq!(places(&facts(&[("system-lost-4", Vec::new())], &[(1, 1)])), ["1:system-lost-5@1"]);
    }

    #[test]
    fn versions_without_a_place_are_an_obstacle() {
        let told = |facts: &Facts| obstacle(facts).unwrap();
        assert_eq!(told(&facts(&[("a", vec![gap((5, 6), 1, 30)])], &[(4, 5)])), None);
        assert!(told(&facts(&[("a", vec![gap((5, 7), 1, 30)])], &[(4, 5)])).unwrap().contains("version 7 of stream a"));
        assert!(told(&facts(&[("a", vec![gap((5, 5), 8, 30)])], &[(4, 5)])).is_some(), "behind every loss");
        assert!(told(&facts(&[("a", vec![gap((5, 5), 1, 3)])], &[(4, 5)])).is_some(), "before every loss");
        let misfit = Facts { misfit: Some("odd".into()), ..Facts::default() };
        assert_eq!(told(&misfit).as_deref(), Some("odd"));
    }
}
