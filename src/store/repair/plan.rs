//! From what was found to the plan: pure.

use super::salvage::{Facts, Gap, StreamFacts};
use super::{RepairPlan, StreamLoss, VersionRange};
use crate::store::verify::Finding;
use crate::types::{Sequence, StreamId, Version};

/// The index's heads, as far as they tell of events that are lost.
pub(super) fn add_heads(facts: &mut Facts, heads: &[(StreamId, Version)]) {
    if facts.lost.is_empty() {
        return;
    }
    for (stream, version) in heads {
        add_head(facts.streams.entry(stream.clone()).or_default(), *version);
    }
}

/// The plan, of facts that the heads are in. `obstacle`: why it cannot be carried out, if it cannot.
pub(super) fn plan(damage: Vec<Finding>, facts: Facts, obstacle: Option<String>) -> RepairPlan {
    let Facts { kept, lost, streams, torn_tail, .. } = facts;
    let count = |first: Sequence, last: Sequence| last.get() - first.get() + 1;
    let events_kept = kept.iter().map(|range| count(range.first, range.last)).sum();
    let events_lost = lost.iter().map(|loss| count(loss.first, loss.last)).sum();
    let streams: Vec<StreamLoss> = streams
        .into_iter()
        .filter(|(_, facts)| !facts.lost.is_empty())
        .map(|(stream, facts)| stream_loss(stream, facts))
        .collect();
    let known: u64 = streams.iter().map(|stream| stream.events_lost).sum();
    RepairPlan {
        store_id: None,
        refusal: None,
        damage,
        kept,
        lost,
        events_kept,
        events_lost,
        streams,
        events_of_unknown_streams: u64::saturating_sub(events_lost, known),
        torn_tail,
        obstacle,
        is_begun: false,
    }
}

/// The index knows of later events than the log still has.
fn add_head(facts: &mut StreamFacts, version: Version) {
    if version > facts.version {
        let versions = VersionRange { first: facts.version.next(), last: version };
        facts.lost.push(Gap { versions, after: facts.sequence, before: Sequence::MAX });
    }
}

fn stream_loss(stream: StreamId, facts: StreamFacts) -> StreamLoss {
    let lost: Vec<VersionRange> = facts.lost.iter().map(|gap| gap.versions).collect();
    let first = lost.first().map_or(Version::FIRST, |range| range.first);
    StreamLoss {
        stream,
        whole_through: first.previous(),
        events_lost: lost.iter().map(|range| range.last.get() - range.first.get() + 1).sum(),
        lost,
        events_behind: facts.events_behind,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Loss, SequenceRange};
    use super::*;

    fn range(first: u64, last: u64) -> VersionRange {
        VersionRange { first: Version::new(first), last: Version::new(last) }
    }

    fn gap(first: u64, last: u64) -> Gap {
        Gap { versions: range(first, last), after: Sequence::new(10), before: Sequence::new(14) }
    }

    fn plan_of(mut facts: Facts, heads: &[(StreamId, Version)]) -> RepairPlan {
        add_heads(&mut facts, heads);
        plan(Vec::new(), facts, None)
    }

    fn name(name: &str) -> StreamId {
        StreamId::new(name).unwrap()
    }

    /// Sequences 1 to 10 and 14 to 20 are there; 11 to 13 are not.
    fn facts(streams: &[(&str, StreamFacts)]) -> Facts {
        let streams: BTreeMap<_, _> = streams.iter().map(|(stream, facts)| (name(stream), facts.clone())).collect();
        let kept = [(1, 10), (14, 20)]
            .map(|(first, last)| SequenceRange { first: Sequence::new(first), last: Sequence::new(last) });
        let loss = Loss { first: Sequence::new(11), last: Sequence::new(13), file: "log/x".into(), offset: 512 };
        Facts { kept: kept.to_vec(), lost: vec![loss], streams, ..Facts::default() }
    }

    #[test]
    fn losses_are_told_by_sequence_and_by_stream() {
        let hit =
            StreamFacts { version: Version::new(9), lost: vec![gap(4, 5)], events_behind: 4, ..StreamFacts::default() };
        let whole = StreamFacts { version: Version::new(3), ..StreamFacts::default() };
        let plan = plan_of(facts(&[("a-1", hit), ("b-1", whole)]), &[]);
        assert_eq!((plan.events_kept, plan.events_lost), (17, 3));
        assert_eq!(plan.streams.len(), 1, "only the one that was hit");
        let stream = &plan.streams[0];
        assert_eq!((stream.stream.as_str(), stream.whole_through), ("a-1", Version::new(3)));
        assert_eq!((stream.events_lost, stream.events_behind), (2, 4));
        // The third one was the last of its stream, and nothing tells of which.
        assert_eq!(plan.events_of_unknown_streams, 1);
        assert!(plan.is_damaged());
    }

    #[test]
    fn the_index_tells_of_the_last_events_of_streams_and_of_streams_that_are_gone() {
        let hit =
            StreamFacts { version: Version::new(9), lost: vec![gap(4, 4)], events_behind: 5, ..StreamFacts::default() };
        let heads = [(name("a-1"), Version::new(10)), (name("c-1"), Version::new(1)), (name("b-1"), Version::new(2))];
        let whole = StreamFacts { version: Version::new(3), ..StreamFacts::default() };
        let plan = plan_of(facts(&[("a-1", hit), ("b-1", whole)]), &heads);
        let told: Vec<_> = plan.streams.iter().map(|s| (s.stream.as_str(), s.lost.clone(), s.whole_through)).collect();
        let expected =
            [("a-1", vec![range(4, 4), range(10, 10)], Version::new(3)), ("c-1", vec![range(1, 1)], Version::ZERO)];
        assert_eq!(told, expected);
        assert_eq!(plan.events_of_unknown_streams, 0);
    }

    #[test]
    fn where_nothing_is_lost_an_index_that_knows_better_is_no_loss() {
        let found = Facts { lost: Vec::new(), ..facts(&[]) };
        let plan = plan_of(found, &[(name("a-1"), Version::new(7))]);
        assert!(plan.streams.is_empty() && !plan.is_damaged());
    }
}
