//! What a power cut does to each thing that was not synced.

use std::ops::Range;
use std::sync::Arc;

use super::image::Image;
use super::options::CrashOptions;
use super::random::Random;

/// Decides about one thing after another, in an order that depends on the disk alone.
pub(super) trait Fate {
    /// Whether a change of names is kept.
    fn change(&mut self) -> bool;

    /// The length that a file has: the durable one, or one it had since.
    fn length(&mut self, durable: u64, since: &[u64]) -> u64;

    /// What the sectors hold that were added to a file and never written.
    fn unwritten(&mut self, image: &mut Image, sectors: Range<u64>, sector_bytes: u64);

    /// What a sector holds that was written and not synced; `None` for what it held before.
    fn sector(&mut self, before: &[u8], versions: &[Arc<[u8]>]) -> Option<Arc<[u8]>>;
}

/// Each thing is wholly kept or wholly lost, as the caller says of its number.
pub(super) struct Chosen<F> {
    keep: F,
    next: usize,
}

impl<F: FnMut(usize) -> bool> Chosen<F> {
    pub(super) fn new(keep: F) -> Self {
        Self { keep, next: 0 }
    }

    fn keep_next(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        (self.keep)(number)
    }
}

impl<F: FnMut(usize) -> bool> Fate for Chosen<F> {
    fn change(&mut self) -> bool {
        self.keep_next()
    }

    fn length(&mut self, durable: u64, since: &[u64]) -> u64 {
        since.last().copied().filter(|_| self.keep_next()).unwrap_or(durable)
    }

    fn unwritten(&mut self, _: &mut Image, _: Range<u64>, _: u64) {}

    fn sector(&mut self, _: &[u8], versions: &[Arc<[u8]>]) -> Option<Arc<[u8]>> {
        versions.last().filter(|_| self.keep_next()).cloned()
    }
}

/// How many of four things are kept. Drawn once for a crash, as with even odds for each of many things "all of it" and
/// "nothing of it" would never come up.
#[derive(Clone, Copy)]
struct Odds(u64);

impl Odds {
    fn draw(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self(0),
            1 => Self(4),
            other => Self(1 + other % 3),
        }
    }

    fn is_kept(self, random: &mut Random) -> bool {
        random.below(4) < self.0
    }

    /// How many of `count` states came after the durable one.
    fn landed(self, random: &mut Random, count: usize) -> usize {
        if self.is_kept(random) {
            count
        } else if self.0 == 0 {
            0
        } else {
            random.index(count)
        }
    }
}

/// Each thing is kept, lost, torn or turned into garbage, as a seed says.
pub(super) struct Drawn {
    random: Random,
    options: CrashOptions,
    changes: Odds,
    lengths: Odds,
    sectors: Odds,
    /// The durable bytes that stale sectors are taken from.
    stale: Vec<Image>,
}

impl Drawn {
    pub(super) fn new(seed: u64, options: CrashOptions, stale: Vec<Image>) -> Self {
        let mut random = Random::new(seed);
        let odds = Odds::draw(&mut random);
        // Devices often keep one sort of thing and lose another: a length and no byte of what it covers.
        let (changes, lengths) =
            if random.below(2) == 0 { (odds, odds) } else { (Odds::draw(&mut random), Odds::draw(&mut random)) };
        Self { random, options, changes, lengths, sectors: odds, stale }
    }

    /// The first part new, the rest old.
    fn torn(&mut self, before: &[u8], after: &[u8]) -> Vec<u8> {
        let differs = |(old, new): (&u8, &u8)| old != new;
        let first = before.iter().zip(after).position(differs).unwrap_or(0);
        let last = before.iter().zip(after).rposition(differs).unwrap_or(0);
        let cut = first + self.random.index(last - first + 1);
        before.iter().zip(after).enumerate().map(|(place, (old, new))| if place < cut { *new } else { *old }).collect()
    }

    /// Random bytes where the write changed something, or everywhere.
    fn garbage(&mut self, before: &[u8], after: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; after.len()];
        self.random.fill(&mut bytes);
        if self.options.powersafe {
            for (target, (old, new)) in bytes.iter_mut().zip(before.iter().zip(after)) {
                if old == new {
                    *target = *new;
                }
            }
        }
        bytes
    }
}

impl Fate for Drawn {
    fn change(&mut self) -> bool {
        self.changes.is_kept(&mut self.random)
    }

    fn length(&mut self, durable: u64, since: &[u64]) -> u64 {
        let landed = self.lengths.landed(&mut self.random, since.len());
        landed.checked_sub(1).and_then(|last| since.get(last)).copied().unwrap_or(durable)
    }

    fn unwritten(&mut self, image: &mut Image, sectors: Range<u64>, sector_bytes: u64) {
        if !self.options.stale_allocation {
            return;
        }
        for index in sectors {
            let source = self.random.index(self.stale.len());
            let bytes = match self.stale.get(source) {
                Some(source) if self.random.below(2) == 0 => {
                    let place = self.random.below(source.length().div_ceil(sector_bytes).max(1));
                    source.sector(place, sector_bytes)
                }
                _ => {
                    let mut bytes = image.sector(index, sector_bytes).to_vec();
                    self.random.fill(&mut bytes);
                    bytes.into()
                }
            };
            image.overwrite(&bytes, index * sector_bytes);
        }
    }

    fn sector(&mut self, before: &[u8], versions: &[Arc<[u8]>]) -> Option<Arc<[u8]>> {
        let landed = self.sectors.landed(&mut self.random, versions.len());
        let newest = landed.checked_sub(1).and_then(|last| versions.get(last));
        let Some(interrupted) = versions.get(landed).filter(|_| self.sectors.0 > 0) else {
            return newest.cloned();
        };
        // The next write of this sector had not begun, or power failed within it.
        let base = newest.map_or(before, |newest| newest);
        match self.random.below(4) {
            0 => Some(self.torn(base, interrupted).into()),
            1 => Some(self.garbage(base, interrupted).into()),
            _ => newest.cloned(),
        }
    }
}
