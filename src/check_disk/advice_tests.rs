//! From measurements to advice, case by case.

use super::super::{DiskMedium, SyncCost};
use super::*;
use crate::measure::Distribution;

/// Microseconds: growing, reserved, zero-filled, sectors.
type Times = [u64; 4];

fn measured(kind: DiskMediumKind, times: Times) -> DiskMeasurements {
    let ways = [SyncWay::Grow, SyncWay::Reserve, SyncWay::ZeroFill, SyncWay::ZeroFillSector];
    let cost = |micros: u64| Distribution::of_values([micros * 1_000; 100]);
    let syncs = ways.into_iter().zip(times).map(|(way, micros)| SyncCost { way, nanos: cost(micros) }).collect();
    let medium = DiskMedium { kind, file_system: "tmpfs".into(), device: String::new() };
    DiskMeasurements { medium, syncs, write_bytes_per_second: 1, read_bytes_per_second: 1 }
}

#[test]
fn each_case_has_its_advice() {
    use Align::{Packed, Sector};
    use DiskMediumKind::{Card, Memory, Network, Rotating, Solid, Unknown};
    use DiskWarningKind as Kind;
    use Preallocation::{Grow, Reserve, ZeroFill};
    type Case = (&'static str, DiskMediumKind, Times, Preallocation, Align, &'static [Kind]);
    let cases: &[Case] = &[
        ("a disk with capacitors, ext4", Solid, [900, 700, 100, 110], ZeroFill, Packed, &[]),
        ("a file system that copies on write", Solid, [800, 790, 800, 810], Reserve, Packed, &[]),
        ("growing is much better", Solid, [200, 900, 500, 500], Grow, Packed, &[]),
        ("whole sectors are faster", Solid, [900, 700, 400, 200], ZeroFill, Sector, &[]),
        ("a card", Card, [9_000, 8_000, 4_000, 4_500], ZeroFill, Sector, &[]),
        ("a card that pays for whole sectors", Card, [9_000, 8_000, 4_000, 9_000], ZeroFill, Packed, &[]),
        ("a card that lies", Card, [90, 90, 90, 90], Reserve, Sector, &[Kind::TooFast]),
        ("plates", Rotating, [25_000, 17_000, 8_500, 8_500], ZeroFill, Packed, &[]),
        ("plates whose cache answers", Rotating, [60, 50, 40, 40], ZeroFill, Packed, &[Kind::TooFast]),
        ("a virtual disk that nobody syncs", Unknown, [15, 12, 10, 10], ZeroFill, Packed, &[Kind::Fast]),
        ("memory", Memory, [2, 2, 2, 2], Reserve, Packed, &[Kind::Memory]),
        ("another machine", Network, [2_000, 2_000, 2_000, 2_000], Reserve, Packed, &[Kind::Network]),
        ("a very slow card", Card, [90_000, 90_000, 60_000, 60_000], ZeroFill, Sector, &[Kind::Slow]),
    ];
    for (name, kind, times, preallocation, align, warned) in cases {
        let advice = DiskAdvice::of(&measured(*kind, *times));
        assert_eq!((advice.preallocation, advice.align), (*preallocation, *align), "{name}: {advice:?}");
        let kinds: Vec<Kind> = advice.warnings.iter().map(|warning| warning.kind).collect();
        assert_eq!(kinds, *warned, "{name}: {advice:?}");
    }
}

#[test]
fn a_disk_that_stalls_is_told_of() {
    let mut stalling = measured(DiskMediumKind::Solid, [900, 700, 100, 100]);
    let values = [100_000; 97].into_iter().chain([40_000_000; 3]);
    stalling.syncs[2].nanos = Distribution::of_values(values);
    let warnings = DiskAdvice::of(&stalling).warnings;
    assert!(matches!(&warnings[..], [warning] if warning.kind == DiskWarningKind::Stalls), "{warnings:?}");
}

#[test]
fn without_measurements_the_defaults_are_advised() {
    let advice = DiskAdvice::of(&DiskMeasurements::default());
    assert_eq!((advice.preallocation, advice.align), (Preallocation::ZeroFill, Align::Packed));
    assert!(advice.warnings.is_empty());
}
