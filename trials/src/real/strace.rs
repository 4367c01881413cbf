//! Running a child under `strace`: counting its system calls, and killing it at one of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process;

/// The system calls at which a kill may leave something else than a kill a little later.
const CALLS: &str = "write,writev,pwrite64,pwritev,fdatasync,fsync,sync_file_range,rename,renameat2,openat,unlink,unlinkat,link,\
                     linkat,mkdir,rmdir,fallocate,ftruncate,mmap,munmap,flock,fcntl";

/// Whether `strace` can be used here.
#[must_use]
pub fn is_there() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    traced.is_ok_and(|status| status.success())
}

fn traced(arguments: &[&str], words: &[String]) -> Command {
    let child = process::command(words);
    let mut command = Command::new("strace");
    // Not with --seccomp-bpf: nothing is injected then.
    command.arg("-f").args(arguments).arg(child.get_program()).args(child.get_args());
    command.stderr(Stdio::null());
    command
}

/// The child, killed when one of its threads makes this call for the n-th time.
#[must_use]
pub fn killed_at(words: &[String], call: &str, number: u64) -> Command {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={number}"));
    traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], words)
}

/// How often each system call is made by the thread that makes it most, in a run without a kill.
///
/// # Panics
/// Where the run does not end well.
#[must_use]
pub fn count(words: &[String], scratch: &Path) -> BTreeMap<String, u64> {
    let log = scratch.join("strace");
    let path = log.display().to_string();
    let mut command = traced(&["-o", &path, "-e", &format!("trace={CALLS}")], words);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("strace runs");
    assert!(status.success(), "the run without a kill ended with {status}");
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in String::from_utf8_lossy(&std::fs::read(&log).expect("its log")).lines() {
        // `PID call(...`; a call that was resumed was counted when it began.
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *counts.entry((thread.to_owned(), call.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in counts {
        let most = most.entry(call).or_default();
        *most = count.max(*most);
    }
    most
}
