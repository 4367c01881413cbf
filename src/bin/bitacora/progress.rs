//! How far a verb is: on standard error, from the second on, with a rate and an estimate.
//!
//! A terminal gets a bar that is drawn over itself and is gone at the end; anything else gets a line a second. What takes less than
//! a second says nothing.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::tone::can_draw;

/// How long a verb may take without a word, and how often a line is printed after that.
const QUIET: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Count,
}

/// What a verb is at.
#[derive(Debug)]
pub(crate) struct Progress {
    verb: &'static str,
    unit: Unit,
    is_terminal: bool,
    /// Of the whole.
    started: Instant,
    told: Option<Instant>,
    phase: String,
    phase_started: Instant,
    /// What was done of the phase when it was first told of: what was there before is no work of this run.
    phase_from: u64,
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(verb: &'static str, unit: Unit) -> Self {
        let now = Instant::now();
        Self {
            verb,
            unit,
            is_terminal: can_draw(),
            started: now,
            told: None,
            phase: String::new(),
            phase_started: now,
            phase_from: 0,
            bar: ProgressBar::hidden(),
        }
    }

    /// What is counted from now on; for a phase that counts something else.
    pub(crate) fn count_in(&mut self, unit: Unit) {
        self.unit = unit;
    }

    /// Tells how far the phase is; `total` is zero where nobody knows.
    pub(crate) fn tell(&mut self, phase: &str, done: u64, total: u64) {
        let now = Instant::now();
        if self.phase != phase {
            self.phase.clear();
            self.phase.push_str(phase);
            (self.phase_started, self.phase_from) = (now, done);
        }
        if now - self.started < QUIET {
            return;
        }
        if self.is_terminal {
            self.draw(done, total);
            return;
        }
        if self.told.is_some_and(|told| now - told < QUIET) {
            return;
        }
        self.told = Some(now);
        let spent = now - self.phase_started;
        let line = line(self.unit, done.saturating_sub(self.phase_from), spent, done, total);
        // Nobody can be told that standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{}: {phase}, {line}", self.verb);
    }

    fn draw(&mut self, done: u64, total: u64) {
        if self.bar.is_hidden() {
            self.bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        }
        if self.bar.message() != self.phase {
            let counted = match self.unit {
                Unit::Bytes => "{bytes}/{total_bytes}  {binary_bytes_per_sec}",
                Unit::Count => "{human_pos}/{human_len}  {per_sec}",
            };
            if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:32}} {counted}  {{msg}}  {{eta}} left")) {
                self.bar.set_style(style);
            }
            self.bar.set_message(self.phase.clone());
            self.bar.reset_eta();
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What stands behind a phase's name: `now` was done in the time `spent`, `done` of `total` in all.
fn line(unit: Unit, now: u64, spent: Duration, done: u64, total: u64) -> String {
    let rate = per_second(now, spent);
    let amount = match (unit, total) {
        (Unit::Bytes, 0) => format!("{} MiB", mebibytes(done)),
        (Unit::Bytes, total) => format!("{} of {} MiB", mebibytes(done), mebibytes(total)),
        (Unit::Count, 0) => done.to_string(),
        (Unit::Count, total) => format!("{done} of {total}"),
    };
    let rate_text = match unit {
        Unit::Bytes => format!("{} MiB/s", mebibytes(rate)),
        Unit::Count => format!("{rate}/s"),
    };
    match total.saturating_sub(done).checked_div(rate) {
        Some(seconds) if total > 0 => format!("{amount}, {rate_text}, {seconds} s left"),
        _ => format!("{amount}, {rate_text}"),
    }
}

fn per_second(count: u64, spent: Duration) -> u64 {
    let millis = spent.as_millis().max(1);
    u64::try_from(u128::from(count) * 1_000 / millis).unwrap_or(u64::MAX)
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_line_has_an_amount_a_rate_and_an_estimate() {
        let spent = Duration::from_secs(2);
        assert_eq!(line(Unit::Bytes, 20 * MIB, spent, 20 * MIB, 70 * MIB), "20 of 70 MiB, 10 MiB/s, 5 s left");
        assert_eq!(line(Unit::Count, 10, spent, 110, 200), "110 of 200, 5/s, 18 s left");
    }

    #[test]
    fn without_a_total_or_a_rate_there_is_no_estimate() {
        let spent = Duration::from_secs(2);
        assert_eq!(line(Unit::Count, 10, spent, 10, 0), "10, 5/s");
        assert_eq!(line(Unit::Bytes, 0, spent, MIB, 2 * MIB), "1 of 2 MiB, 0 MiB/s");
        assert_eq!(line(Unit::Count, u64::MAX, Duration::ZERO, 1, 2), format!("1 of 2, {}/s, 0 s left", u64::MAX));
    }
}
