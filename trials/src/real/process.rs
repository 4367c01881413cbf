//! A child process and its lines.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Longer than any child is silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which seeded defect a child has, as its parent.
#[cfg(feature = "sabotage")]
pub(super) const SABOTAGE: &str = "BITACORA_SABOTAGE";

/// The command `trials`: this program itself, or the one that was built beside a test. `BITACORA_TRIALS_CHILD` names another.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn executable() -> PathBuf {
    if let Some(path) = std::env::var_os("BITACORA_TRIALS_CHILD") {
        return path.into();
    }
    let me = std::env::current_exe().expect("this program has a path");
    if me.file_stem().is_some_and(|name| name == "trials") {
        return me;
    }
    // Tests stand in `deps`, below the folder of the commands.
    let name = format!("trials{}", std::env::consts::EXE_SUFFIX);
    let beside = me.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).find(|path| path.is_file());
    beside.unwrap_or_else(|| panic!("there is no command `trials` beside {}", me.display()))
}

/// The command `trials child` with these words.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(executable());
    command.arg("child").args(words);
    #[cfg(feature = "sabotage")]
    command.env(SABOTAGE, bitacora::sabotage::number().to_string());
    command
}

/// A child that is running. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the child `words`.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(words: &[String]) -> Self {
        Self::of(command(words))
    }

    /// Starts a command that is a child, or runs one.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("its standard output is a pipe"));
        let (sender, lines) = channel();
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            // A line without an end was torn by the kill, and says nothing.
            while output.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { child, input, lines, reader: Some(reader) }
    }

    /// Its next line; `None` when it has closed its output.
    ///
    /// # Panics
    /// Where it is silent for a minute.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the child has said nothing for {PATIENCE:?}"),
        }
    }

    /// The lines of some time, less if it ends before.
    pub fn lines_for(&mut self, time: Duration) -> Vec<String> {
        let end = Instant::now() + time;
        let mut lines = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.lines.recv_timeout(left) {
                Ok(line) => lines.push(line),
                Err(_) => break,
            }
        }
        lines
    }

    /// Tells it something.
    ///
    /// # Panics
    /// Where it does not listen any more.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        input.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    }

    /// Closes its input, which tells it to end.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it and does not wait: none of its code runs any more, but a system call that is under way goes on.
    pub fn strike(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
    }

    /// Stops it: when this returns no system call of its is under way. False: it had ended by itself.
    ///
    /// # Panics
    /// Where it cannot be stopped.
    #[must_use]
    pub fn pause(&mut self) -> bool {
        self.signal(Signal::STOP);
        let id = Pid::from_child(&self.child);
        // Asked so, the system does not forget one that has ended, as the one that waits for it later expects.
        let told = waitid(WaitId::Pid(id), WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        told.expect("a child is waited for").is_some_and(|status| status.stopped())
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself; it is not waited for yet, so its id is not another's.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Kills it, and returns the lines it had said by then that were not read yet.
    ///
    /// # Panics
    /// Where it cannot be waited for.
    pub fn kill(mut self) -> Vec<String> {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.rest().1
    }

    /// Closes its input, which tells it to end, and waits for that.
    ///
    /// # Panics
    /// Where it cannot be waited for.
    pub fn finish(mut self) -> (ExitStatus, Vec<String>) {
        self.rest()
    }

    fn rest(&mut self) -> (ExitStatus, Vec<String>) {
        self.input = None;
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            lines.push(line);
        }
        let status = self.child.wait().expect("a child is waited for");
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        (status, lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
