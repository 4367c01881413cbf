//! What is read off a running process, and what becomes of many readings.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The middle one; of an even number the higher of the two in the middle.
///
/// # Panics
/// There is none.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The number below which so many parts of a thousand lie. Takes sorted numbers; zero where there are none.
#[must_use]
pub fn permille(sorted: &[u32], part: usize) -> u32 {
    sorted.get(sorted.len() * part / 1000).or(sorted.last()).copied().unwrap_or(0)
}

/// What the processors spent on this process so far, user and system, microseconds.
#[must_use]
pub fn cpu_micros() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1_000).unwrap_or(0)
}

/// Memory of the process that no file stands behind, bytes: what maps of files take is not in it.
#[must_use]
pub fn anonymous_bytes() -> u64 {
    field("/proc/self/status", "RssAnon:").map_or(0, |kibibytes| kibibytes * 1024)
}

/// What the process has handed to the disk so far, bytes: pages that it made dirty, each time they were.
#[must_use]
pub fn written_bytes() -> u64 {
    field("/proc/self/io", "write_bytes:").unwrap_or(0)
}

fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Looks every few milliseconds how much anonymous memory there is, and keeps the most.
#[derive(Debug)]
pub struct PeakMemory {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<u64>,
}

impl PeakMemory {
    /// Starts looking.
    #[must_use]
    pub fn watch() -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut peak = anonymous_bytes();
            while stopped.recv_timeout(Duration::from_millis(2)) == Err(mpsc::RecvTimeoutError::Timeout) {
                peak = peak.max(anonymous_bytes());
            }
            peak.max(anonymous_bytes())
        });
        Self { stop, thread }
    }

    /// The most there was, bytes.
    ///
    /// # Panics
    /// The thread that looked has panicked.
    #[must_use]
    pub fn stop(self) -> u64 {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_many_is_found_whatever_their_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]).total_cmp(&5.0), std::cmp::Ordering::Equal);
        let numbers: Vec<u32> = (0..1_000).collect();
        assert_eq!([permille(&numbers, 500), permille(&numbers, 990), permille(&[], 990)], [500, 990, 0]);
    }

    #[test]
    fn the_counters_of_this_process_are_read() {
        assert!(anonymous_bytes() > 0, "a process has memory");
        let before = cpu_micros();
        let watched = PeakMemory::watch();
        let filled = vec![1u8; 64 * 1024 * 1024];
        assert!(watched.stop() >= filled.len() as u64, "what was filled is in the peak");
        assert!(cpu_micros() > before, "filling takes time");
    }
}
