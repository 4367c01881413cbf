//! The heads of many streams at once.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::shared::Shared;
use crate::error::Result;
use crate::index::{Index, StreamHead};
use crate::types::StreamId;

/// Fewer are looked up one by one.
const STREAMS_MIN: usize = 64;
/// Heads that a walk fetches at once.
const HEADS_AT_ONCE: usize = 256;
/// Heads of others that a walk passes over for each that it looks for. To pass over one takes about a tenth of a look-up.
const PASSED_FOR_EACH: usize = 4;

impl Shared {
    /// The heads of these streams, whose names start with `prefix`, by a walk over the index's heads; `None` where they are few or not in
    /// the order of their names.
    pub(crate) fn heads(&self, prefix: &str, streams: &[StreamId]) -> Result<Option<Vec<Option<StreamHead>>>> {
        if streams.len() < STREAMS_MIN || !streams.is_sorted_by(|left, right| left < right) {
            return Ok(None);
        }
        // All of the tails first: what leaves them after this is in the index when that is walked.
        let in_tails: Vec<_> = streams.iter().map(|stream| self.view.read().head(stream.as_str())).collect();
        let mut walk = Walk::new(self.index.as_ref(), prefix);
        let heads = in_tails.into_iter().zip(streams).map(|(in_tail, stream)| match in_tail {
            Some(head) => Ok(Some(head)),
            None => walk.head(stream),
        });
        heads.collect::<Result<_>>().map(Some)
    }
}

/// A walk over the heads in an index, in the order of their names.
struct Walk<'a> {
    index: &'a dyn Index,
    prefix: &'a str,
    page: VecDeque<(StreamId, StreamHead)>,
    /// The last one that was fetched.
    after: Option<StreamId>,
    is_end: bool,
    found: usize,
    passed: usize,
}

impl<'a> Walk<'a> {
    fn new(index: &'a dyn Index, prefix: &'a str) -> Self {
        Self { index, prefix, page: VecDeque::new(), after: None, is_end: false, found: 0, passed: 0 }
    }

    /// The head of a stream, which is behind those that were asked for before.
    fn head(&mut self, stream: &StreamId) -> Result<Option<StreamHead>> {
        loop {
            if self.passed > HEADS_AT_ONCE + PASSED_FOR_EACH * self.found {
                return self.index.head(stream.as_str());
            }
            while let Some((name, _)) = self.page.front() {
                match name.cmp(stream) {
                    Ordering::Less => self.passed += 1,
                    Ordering::Equal => {
                        self.found += 1;
                        return Ok(self.page.pop_front().map(|(_, head)| head));
                    }
                    Ordering::Greater => return Ok(None),
                }
                self.page.pop_front();
            }
            let Some(after) = &self.after else {
                // The walk begins here.
                self.after = Some(stream.clone());
                return self.index.head(stream.as_str());
            };
            if self.is_end {
                return Ok(None);
            }
            let page = self.index.streams(self.prefix, Some(after.as_str()), HEADS_AT_ONCE)?;
            self.is_end = page.len() < HEADS_AT_ONCE;
            if let Some((last, _)) = page.last() {
                self.after = Some(last.clone());
            }
            self.page = page.into();
        }
    }
}
