//! What follows from what was measured of a disk. Pure.

use serde::{Serialize, Serializer};

use super::medium::DiskMediumKind;
use super::{DiskMeasurements, SyncWay};
use crate::store::{Align, Preallocation};

/// Below this nothing but a controller with a battery, or memory, has made a write durable. Nanoseconds.
const HONEST_NANOS_MIN: u64 = 20_000;
/// Below this plates that turn, or a card, have not: the quickest cards take several hundred microseconds. Nanoseconds.
const HONEST_NANOS_MIN_OF_SLOW: u64 = 200_000;
/// From here on a till's customer notices each commit. Nanoseconds.
const SLOW_NANOS: u64 = 50_000_000;
/// Where one in a hundred takes so many times as long as the usual one, and so long at least, the disk stalls.
const STALL_TIMES: u64 = 20;
const STALL_NANOS_MIN: u64 = 20_000_000;

/// What is to be known before a store is put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskWarning {
    /// What kind.
    pub kind: DiskWarningKind,
    /// In words, with its numbers.
    pub text: String,
}

/// Kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskWarningKind {
    /// It is memory.
    Memory,
    /// It is another machine's.
    Network,
    /// It answers sooner than it can have written: the disk, the file system or the virtual machine lies about syncs.
    TooFast,
    /// It is as quick as only a disk with a battery or capacitors may be.
    Fast,
    /// Each commit takes long.
    Slow,
    /// Some commits take much longer than others.
    Stalls,
}

/// Which options suit a disk, and what to beware of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskAdvice {
    /// For [`Options::preallocation`](crate::Options::preallocation).
    #[serde(serialize_with = "preallocation_word")]
    pub preallocation: Preallocation,
    /// Why.
    pub preallocation_reason: String,
    /// For [`Options::align`](crate::Options::align).
    #[serde(serialize_with = "align_word")]
    pub align: Align,
    /// Why.
    pub align_reason: String,
    /// What to beware of.
    pub warnings: Vec<DiskWarning>,
}

/// The option's name in small letters, as in JSON.
fn preallocation_word<S: Serializer>(preallocation: &Preallocation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match preallocation {
        Preallocation::Grow => "grow",
        Preallocation::Reserve => "reserve",
        Preallocation::ZeroFill => "zero_fill",
    })
}

fn align_word<S: Serializer>(align: &Align, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match align {
        Align::Packed => "packed",
        Align::Sector => "sector",
    })
}

/// Whether `one` is at most so many hundredths of `other`.
fn is_within(one: u64, hundredths: u64, other: u64) -> bool {
    u128::from(one) * 100 <= u128::from(other) * u128::from(hundredths)
}

fn micros(nanos: u64) -> String {
    format!("{} us", nanos / 1_000)
}

impl DiskAdvice {
    /// What follows from what was measured.
    #[must_use]
    pub fn of(measured: &DiskMeasurements) -> Self {
        let (preallocation, preallocation_reason) = preallocation(measured);
        let (align, align_reason) = align(measured);
        Self { preallocation, preallocation_reason, align, align_reason, warnings: warnings(measured) }
    }
}

fn preallocation(measured: &DiskMeasurements) -> (Preallocation, String) {
    let p50 = |way| measured.sync(way).map(|cost| cost.p50);
    let (Some(grow), Some(reserve), Some(zeros)) = (p50(SyncWay::Grow), p50(SyncWay::Reserve), p50(SyncWay::ZeroFill))
    else {
        return (Preallocation::ZeroFill, "not all ways could be measured; this is the default".into());
    };
    let times = format!("growing {}, reserved {}, zero-filled {}", micros(grow), micros(reserve), micros(zeros));
    // Without room taken in advance there is none kept for a full disk, so growing has to be much better.
    if is_within(grow, 50, reserve.min(zeros)) {
        return (
            Preallocation::Grow,
            format!("less than half the time of the others: {times}; there is no reserve for a full disk then"),
        );
    }
    // Zeros cost every byte a second write, and a card wears by it.
    if is_within(reserve, 115, zeros) {
        let text = format!("zeros in advance save little or nothing, and cost each byte a second write: {times}");
        return (Preallocation::Reserve, text);
    }
    (Preallocation::ZeroFill, format!("a sync has no extents to convert: {times}"))
}

fn align(measured: &DiskMeasurements) -> (Align, String) {
    let p50 = |way| measured.sync(way).map(|cost| cost.p50);
    let (Some(packed), Some(sector)) = (p50(SyncWay::ZeroFill), p50(SyncWay::ZeroFillSector)) else {
        return (Align::Packed, "not both could be measured; this is the default".into());
    };
    let times = format!("packed {}, sectors of their own {}", micros(packed), micros(sector));
    let may_tear = matches!(measured.medium.kind, DiskMediumKind::Card);
    match (may_tear, is_within(sector, 150, packed), is_within(sector, 90, packed)) {
        (true, true, _) => {
            (Align::Sector, format!("a card may tear a sector that it writes, with what was in it before: {times}"))
        }
        (true, false, _) => (
            Align::Packed,
            format!(
                "sectors of their own cost much here: {times}; but a card may tear a sector that it writes, with what was in it before: where power is cut, take them all the same"
            ),
        ),
        (false, _, true) => (Align::Sector, format!("it is faster here: {times}")),
        (false, _, false) => (Align::Packed, format!("commits share sectors, and the log stays small: {times}")),
    }
}

fn warnings(measured: &DiskMeasurements) -> Vec<DiskWarning> {
    use DiskWarningKind::{Fast, Memory, Network, Slow, Stalls, TooFast};
    let mut warnings = Vec::new();
    let mut warn = |kind, text: String| warnings.push(DiskWarning { kind, text });
    let medium = measured.medium.kind;
    match medium {
        DiskMediumKind::Memory => warn(
            Memory,
            format!("{} is memory: nothing that is written here survives a power cut", measured.medium.file_system),
        ),
        DiskMediumKind::Network => warn(
            Network,
            "this is another machine's disk: whether a sync reaches its medium is for that machine to say, and locks may be lost with the connection".into(),
        ),
        _ => {}
    }
    let best = measured.syncs.iter().filter(|cost| cost.nanos.count > 0).map(|cost| cost.nanos.p50).min();
    let usual = measured.sync(SyncWay::ZeroFill).or_else(|| measured.sync(SyncWay::Grow));
    let (Some(best), Some(usual)) = (best, usual) else { return warnings };
    let is_slow_medium = matches!(medium, DiskMediumKind::Rotating | DiskMediumKind::Card);
    if is_slow_medium && best < HONEST_NANOS_MIN_OF_SLOW {
        warn(
            TooFast,
            format!(
                "a synced write takes {}: such a medium cannot have written it by then. Its cache, or something between, answers for it, and a power cut takes what was acknowledged; turn the write cache off, or take another disk",
                micros(best)
            ),
        );
    } else if medium != DiskMediumKind::Memory && best < HONEST_NANOS_MIN {
        warn(
            Fast,
            format!(
                "a synced write takes {}: only a disk that holds its cache through a power cut (capacitors, a battery) is that quick. If this one does not, or is a virtual machine's, it loses what was acknowledged",
                micros(best)
            ),
        );
    }
    if usual.p50 >= SLOW_NANOS {
        warn(
            Slow,
            format!(
                "a synced write takes {} ms: commit from several threads, or submit several at once, so that one sync serves all",
                usual.p50 / 1_000_000
            ),
        );
    }
    if usual.p99 >= STALL_NANOS_MIN && usual.p99 / STALL_TIMES >= usual.p50 {
        warn(
            Stalls,
            format!(
                "one in a hundred synced writes takes {} ms or more, {} times the usual: something else uses the disk, or it tidies up now and then",
                usual.p99 / 1_000_000,
                usual.p99 / usual.p50.max(1)
            ),
        );
    }
    warnings
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
