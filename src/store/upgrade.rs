//! Bringing a store to the newest format.
//!
//! A store says in its identity which version its files are of. From each version a step leads to the next; an upgrade takes those
//! that are left. Version 1 is the only one there was, so there is no step yet.

use std::ops::ControlFlow;
use std::path::Path;

use super::environment::Environment;
use super::follow;
use super::keep_index::{IndexProgress, IndexReport, existing, rebuild_index_in};
use super::options::Options;
use super::resolved;
use crate::error::{Error, ErrorKind, Result};
use crate::format::FORMAT_VERSION;
use crate::index::IndexEvidence;
use crate::recovery::examine::INDEX;
use crate::types::StoreId;

/// Leads a store from one version to the next. It can be cut short at any point and begun again; the identity names the next
/// version last of all.
type Step = fn(&Environment, &Path) -> Result<()>;

/// The step from version 1 to 2 will be the first of these.
const STEPS: &[Step] = &[];

/// What an upgrade found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeReport {
    /// The store's id.
    pub store_id: StoreId,
    /// The format it had.
    pub format_before: u16,
    /// The format it has: the newest.
    pub format_after: u16,
    /// The index that was made anew, because it was of an older format or could not be read; `None` where it was fine, or where
    /// there was none: an open makes it then.
    pub index: Option<IndexReport>,
}

impl UpgradeReport {
    /// Whether nothing had to be done, and nothing was changed.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.format_before == self.format_after && self.index.is_none()
    }
}

/// Brings the store in a folder to the newest format, and its index too. A store of the newest format is not changed, and is not
/// locked for this.
///
/// # Errors
/// `NotFound`: there is no store. `UnsupportedFormat`: a newer version wrote it, and this program cannot take it back. `Aborted`:
/// `progress` broke it off; it can be begun again. `Locked`: there is something to do, and the store is being written to. `Corrupt`,
/// `NotAStore`, `ReadOnly`, `StorageFull`, `Io`.
pub fn upgrade(
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(IndexProgress) -> ControlFlow<()>,
) -> Result<UpgradeReport> {
    upgrade_in(&Environment::default(), resolved(path.as_ref()), Options::new(), progress)
}

/// As [`upgrade`], of a store that stands on something else than the operating system's files and is opened with `options`.
///
/// # Errors
/// As [`upgrade`].
pub fn upgrade_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    options: Options,
    progress: &mut dyn FnMut(IndexProgress) -> ControlFlow<()>,
) -> Result<UpgradeReport> {
    let root = path.as_ref();
    let identity = existing(environment, root)?;
    // An identity of a newer version is refused where it is read; there is no older one.
    let format_before = FORMAT_VERSION;
    for step in steps_from(format_before)? {
        step(environment, root)?;
    }
    // Whoever writes to it has opened the index, and made it anew if it had to be.
    let has_writer = follow::has_writer(environment.disk.as_ref(), root)?;
    let is_unusable = || {
        let evidence = environment.index.evidence(&root.join(INDEX), identity.store_id);
        matches!(evidence, IndexEvidence::Unusable(_))
    };
    let index =
        if !has_writer && is_unusable() { Some(rebuild_index_in(environment, root, options, progress)?) } else { None };
    Ok(UpgradeReport { store_id: identity.store_id, format_before, format_after: FORMAT_VERSION, index })
}

/// The steps that are left from a version on.
fn steps_from(version: u16) -> Result<&'static [Step]> {
    let taken = usize::from(version).checked_sub(1).and_then(|taken| STEPS.get(taken..));
    taken.ok_or_else(|| Error::new(ErrorKind::UnsupportedFormat, format!("nothing leads on from format {version}")))
}

const _: () = assert!(STEPS.len() + 1 == FORMAT_VERSION as usize, "a step leads to each version but the first");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_newest_version_no_step_is_left_and_from_one_that_never_was_there_is_none() {
        assert_eq!(steps_from(FORMAT_VERSION).unwrap().len(), 0);
        for version in [0, FORMAT_VERSION + 1] {
            assert_eq!(steps_from(version).unwrap_err().kind(), ErrorKind::UnsupportedFormat, "{version}");
        }
    }
}
