//! `bitacora tail`: events that are there, and then each as it comes.

use std::io;
use std::time::Duration;

use bitacora::{Event, EventType, Sequence, StreamId, SubscribeOptions, Subscription};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::args::TailArgs;
use crate::exit::{FINE, INTERRUPTED, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::render::EventLine;

/// How soon an interrupt, or a reader that goes, is noticed where nothing comes.
const NOTICE_AFTER: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &TailArgs, output: &mut Output) -> Outcome {
    let mut options = SubscribeOptions::new();
    if let Some(stream) = &args.stream {
        options = options.stream(&StreamId::new(stream)?);
    }
    if let Some(event_type) = &args.event_type {
        options = options.event_type(&EventType::new(event_type)?);
    }
    let interrupt = Interrupt::catch()?;
    let store = super::open_to_read(&args.dir)?;
    let after = match args.from {
        Some(from) => Sequence::new(from.saturating_sub(1)),
        None if args.new => store.last_sequence(),
        None => Sequence::ZERO,
    };
    let mut events = store.subscribe(options.after(after));
    while !interrupt.came() {
        match next(&mut events, output)? {
            Some(event) => output.json(&EventLine::new(&event))?,
            None if has_reader() => {}
            None => return Ok(FINE),
        }
    }
    Ok(INTERRUPTED)
}

/// The next event, if it comes soon. Before it is waited for, what was printed is handed over.
fn next(events: &mut Subscription, output: &mut Output) -> Result<Option<Event>, crate::exit::Failure> {
    if let Some(event) = events.try_next()? {
        return Ok(Some(event));
    }
    output.flush()?;
    Ok(events.next_timeout(NOTICE_AFTER)?)
}

/// Whether somebody still reads what is printed. A pipe tells, also while nothing is written to it.
fn has_reader() -> bool {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    // What cannot be asked is found out by the next write.
    polled.is_err() || !watched.iter().any(|fd| fd.revents().contains(PollFlags::ERR))
}
