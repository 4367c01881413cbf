//! The arguments of the verbs that keep a store well, and of how a store is opened to write.

use std::path::PathBuf;

use bitacora::Options;
use clap::{Args, ValueEnum};

/// Read the whole store slowly, beside a till, so that rot is found while there is still a backup.
///
/// Checks what `verify` checks of the log: segments, seals, identity, control; not the index, versions and the money. Finished
/// segments are read from the medium and not from memory, and what the till has in memory stays there. Goes on where the last
/// scrub was, to the end of the log, and reports the whole pass; the next one begins anew. Where it was is kept in the file
/// `scrub` of the store's folder, or with --position in a folder of your choosing. Takes no lock, and writes nothing else.
///
/// {"ok","is_complete","pass","started_at","was_resumed","segments","events","bytes","last_sequence","reads_repeated",
/// "unread_since","keeps_position","findings","findings_left_off"}; a finding is that of `verify`. Exit 0 if all is well, 1 if
/// anything is found, 130 at Ctrl-C: the next scrub goes on there.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bitacora scrub till-data --rate 2\n  bitacora scrub till-data --status --json")]
pub(crate) struct ScrubArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Millions of bytes a second; 0 for as fast as it goes.
    #[arg(long, value_name = "MB/S", default_value = "10", value_parser = rate)]
    pub(crate) rate: u64,
    /// Begin at the first segment, wherever the last scrub was, and forget what it found.
    #[arg(long)]
    pub(crate) restart: bool,
    /// Only say what the last scrub came to, and since when the oldest part has not been read; exit 1 where there was none.
    #[arg(long, conflicts_with = "restart")]
    pub(crate) status: bool,
    /// A folder to remember in where it was, for a store whose own may not be written.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) position: Option<PathBuf>,
}

/// Millions of bytes, with a fraction, as bytes.
fn rate(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of millions of bytes, such as 10 or 0.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
        return Err(wrong());
    }
    let bytes: u64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
    let millions: u64 = whole.parse().map_err(|_| wrong())?;
    millions.checked_mul(1_000_000).and_then(|whole| whole.checked_add(bytes)).ok_or_else(wrong)
}

/// The kind of machine that a store is opened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresetArg {
    /// Nothing in particular.
    Default,
    /// 1 GB of memory and an SD card.
    Small,
    /// Memory to spare and a fast disk.
    Server,
}

impl PresetArg {
    pub(crate) fn options(self) -> Options {
        match self {
            Self::Default => Options::new(),
            Self::Small => Options::small(),
            Self::Server => Options::server(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_in_millions_of_bytes_and_may_have_a_fraction() {
        for (text, bytes) in [("10", 10_000_000), ("0", 0), ("0.5", 500_000), ("1.000001", 1_000_001)] {
            assert_eq!(rate(text), Ok(bytes), "{text}");
        }
        for text in ["", "-1", "1.", ".5", "1e3", "1.0000001", "99999999999999999999", "18446744073710"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
