//! What `verify` and `scrub` find, as they print it.

use bitacora::Sequence;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;
use crate::render::word;

#[derive(Serialize)]
pub(super) struct Finding {
    /// The file; of money that is not conserved, `null`.
    pub(super) segment: Option<String>,
    pub(super) offset: Option<u64>,
    pub(super) sequence: Option<u64>,
    pub(super) kind: String,
    pub(super) detail: String,
}

impl From<bitacora::Finding> for Finding {
    fn from(finding: bitacora::Finding) -> Self {
        Self {
            segment: Some(finding.segment),
            offset: finding.offset,
            sequence: finding.sequence.map(Sequence::get),
            kind: word(&finding.kind),
            detail: finding.detail,
        }
    }
}

/// Prints findings as rows, if there are any.
pub(super) fn print(findings: &[Finding], output: &mut Output) -> Result<(), Failure> {
    if findings.is_empty() {
        return Ok(());
    }
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let rows = findings.iter().map(|finding| {
        Ok(vec![
            finding.segment.clone().unwrap_or_default(),
            number(finding.offset),
            number(finding.sequence),
            finding.kind.clone(),
            finding.detail.clone(),
        ])
    });
    output.rows(&["segment", "offset", "sequence", "kind", "detail"], rows)
}
