//! The till as a child process, and its end by SIGKILL.
//!
//! What counts as acknowledged is what was read from its standard output with its line end: everything that was in the pipe
//! when it died included, a line torn by the kill not.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use bitacora::{Error, ErrorKind};
use serde::Deserialize;

use crate::till::Outcome;

/// A line of the ledger that the till said was done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Ack {
    pub(crate) line: u64,
    pub(crate) outcome: Outcome,
    pub(crate) sequence: u64,
}

/// One life of the till.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) acks: Vec<Ack>,
    /// The summary it printed, where it got that far.
    pub(crate) summary: Option<serde_json::Value>,
    pub(crate) end: End,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By the kill, with work left to do.
    Killed,
    /// By itself, with this exit code where there is one.
    Exited(Option<i32>),
}

/// What one line of the till's standard output says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    Ack(Ack),
    Summary(serde_json::Value),
}

/// Runs the till until it ends, or kills it once it has acknowledged `kill_after` outcomes.
///
/// # Errors
/// `Io`: it could not be started or read. `InvalidInput`: it printed something that is neither an acknowledgement nor a summary.
pub(crate) fn live(mut command: Command, log: File, kill_after: Option<u64>) -> Result<Life, Error> {
    let io = |what: &'static str| move |error| Error::from_io(what, error);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(io("start the till"))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(Error::new(ErrorKind::Io, "the till has no standard output"));
    };
    let mut stdout = BufReader::new(stdout);
    let mut life = Life { acks: Vec::new(), summary: None, end: End::Exited(None) };
    let mut kill_after = kill_after;
    let mut text = Vec::new();
    let read = loop {
        text.clear();
        match stdout.read_until(b'\n', &mut text) {
            Ok(0) => break Ok(()),
            Ok(_) if text.last() != Some(&b'\n') => continue,
            Ok(_) => {}
            Err(error) => break Err(Error::from_io("read the till's acknowledgements", error)),
        }
        match serde_json::from_slice(&text) {
            Ok(Said::Ack(ack)) => life.acks.push(ack),
            Ok(Said::Summary(summary)) => life.summary = Some(summary),
            Err(error) => break Err(Error::with_source(ErrorKind::InvalidInput, "the till printed no JSON", error)),
        }
        let acknowledged = u64::try_from(life.acks.len()).unwrap_or(u64::MAX);
        if kill_after.is_some_and(|count| acknowledged >= count) {
            kill_after = None;
            // It may have ended by itself in this moment; the wait status tells.
            let _ = child.kill();
        }
    };
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(io("wait for the till"))?;
    read?;
    life.end = if was_killed(status) { End::Killed } else { End::Exited(status.code()) };
    Ok(life)
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    const SIGKILL: i32 = 9;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGKILL)
}

/// Where there are no signals, a process that was terminated has an exit code that the till does not use.
#[cfg(not(unix))]
fn was_killed(status: ExitStatus) -> bool {
    !matches!(status.code(), Some(0..=6 | 130))
}

/// The counts of acknowledgements, over all lives, at which the till is killed: one in the middle half of each of
/// `kills + 1` equal parts of the day, so that there is work before and after every kill.
pub(crate) fn kill_counts(random: &mut super::random::Random, lines: u64, kills: u64) -> Vec<u64> {
    let part = lines.checked_div(kills.saturating_add(1)).unwrap_or(0).max(1);
    (0..kills)
        .map(|kill| {
            let start = part.saturating_mul(kill);
            start.saturating_add(random.between(part / 4, part.saturating_mul(3) / 4)).max(1)
        })
        .collect()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::random::Random;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn log() -> File {
        tempfile::tempfile().unwrap()
    }

    const ACK: &str = r#"{"line":2,"outcome":"completed","sequence":9}"#;

    #[test]
    fn a_till_that_is_killed_at_work_is_told_from_one_that_ended() {
        let killed = live(shell(&format!("echo '{ACK}'; while :; do :; done")), log(), Some(1)).unwrap();
        assert_eq!(killed.end, End::Killed);
        assert_eq!(killed.acks, [Ack { line: 2, outcome: Outcome::Completed, sequence: 9 }]);

        let ended = live(shell(&format!("echo '{ACK}'; echo '{{\"lines\":1}}'; exit 1")), log(), Some(2)).unwrap();
        assert_eq!(ended.end, End::Exited(Some(1)));
        assert_eq!(ended.summary, Some(serde_json::json!({"lines": 1})));
    }

    #[test]
    fn a_torn_last_line_acknowledges_nothing() {
        let life = live(shell(&format!("printf '%s' '{ACK}'")), log(), None).unwrap();
        assert_eq!(life.acks, []);
    }

    #[test]
    fn what_is_in_the_pipe_when_the_till_dies_is_acknowledged() {
        let life = live(shell(&format!("echo '{ACK}'; echo '{ACK}'; kill -9 $$")), log(), Some(50)).unwrap();
        assert_eq!(life.acks.len(), 2);
        assert_eq!(life.end, End::Killed);
    }

    #[test]
    fn kills_lie_in_order_with_work_before_and_after_each() {
        for seed in 0..50 {
            let counts = kill_counts(&mut Random::new(seed), 2_300, 5);
            assert_eq!(counts.len(), 5);
            assert!(counts.windows(2).all(|pair| pair[0] + 100 < pair[1]), "{counts:?}");
            assert!(counts[0] >= 90 && counts[4] <= 2_300 - 400, "{counts:?}");
        }
    }
}
