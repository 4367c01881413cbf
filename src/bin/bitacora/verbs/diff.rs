//! `bitacora diff`: which wallets differ between two points, and how.

use bitacora::Sequence;
use bitacora::aggregate::AsOf;
use bitacora::service::{WalletDiff, diff};

use crate::args::DiffArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(args: &DiffArgs, output: &mut Output) -> Outcome {
    let from = args.from.as_of().ok_or_else(|| Failure::usage("a first point is needed"))?;
    let to = args.to.as_of().unwrap_or(AsOf::Sequence(Sequence::MAX));
    let store = super::open_to_read(&args.dir)?;
    let diffs = diff(&store, from, to, args.user.as_deref())?;
    output.end_at_interrupt()?;
    if output.is_json() {
        diffs.iter().try_for_each(|diff| output.json(diff))?;
        return Ok(FINE);
    }
    let header = [
        "user_id",
        "currency",
        "balance_change",
        "locked_change",
        "events",
        "from_balance",
        "to_balance",
        "from_status",
        "to_status",
    ];
    output.rows(&header, diffs.iter().map(|diff| Ok(row(diff))))?;
    Ok(FINE)
}

fn row(diff: &WalletDiff) -> Vec<String> {
    vec![
        diff.user_id.clone(),
        diff.currency.unwrap_or_default().to_owned(),
        diff.balance_change.to_string(),
        diff.locked_change.to_string(),
        diff.events.to_string(),
        diff.from.balance.to_string(),
        diff.to.balance.to_string(),
        diff.from.status.to_owned(),
        diff.to.status.to_owned(),
    ]
}
