//! `bitacora wallets`: all wallets, as they are or as they were.

use std::ops::ControlFlow;

use bitacora::Sequence;
use bitacora::aggregate::AsOf;
use bitacora::service::wallets_as_of;

use super::wallet_document::WalletDocument;
use crate::args::WalletsArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(args: &WalletsArgs, output: &mut Output) -> Outcome {
    output.end_at_interrupt()?;
    let store = super::open_to_read(&args.dir)?;
    let as_of = args.point.as_of().unwrap_or(AsOf::Sequence(Sequence::MAX));
    let mut rows = Vec::new();
    let mut failure: Option<Failure> = None;
    wallets_as_of(&store, as_of, |loaded| {
        let document = WalletDocument::new(loaded);
        if output.is_json() {
            if let Err(failed) = output.json(&document) {
                failure = Some(failed);
                return Ok(ControlFlow::Break(()));
            }
        } else {
            rows.push(document.row());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !output.is_json() {
        output.rows(&WalletDocument::HEADER, rows.into_iter().map(Ok))?;
    }
    Ok(FINE)
}
