//! The store that verbs are run on, made by the command itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command::parked::{begin, park};
use crate::command::{Place as Made, damage};

/// What a case is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// An empty folder, with a ledger in it.
    Nothing,
    /// The store of a till, which is only read.
    Till,
    /// A copy of it.
    Copy,
    /// A copy of it with a damaged event.
    Damaged,
}

const LEDGER: &str = "id,user_id,timestamp,kind,amount,currency\n\
    d1,00001,2026-01-01T08:00:00Z,deposit,100.00,EUR\n\
    p1,00001,2026-01-01T08:01:00Z,payment,30.00,EUR\n\
    w1,00001,2026-01-01T08:04:00Z,withdrawal,1000.00,EUR\n\
    w2,00001,2026-01-01T08:05:00Z,withdrawal,20.00,EUR\n\
    z1,00002,2026-01-01T08:06:00Z,payment,-1.00,EUR\n";

const ORDERS: &str = "\
    {\"stream\":\"order-1\",\"type\":\"OrderPlaced\",\"data\":{\"items\":3},\"id\":\"01890000-0000-7000-8000-000000000001\"}\n\
    {\"stream\":\"order-2\",\"type\":\"OrderPlaced\",\"data\":{\"note\":\"doomed\"},\"id\":\"01890000-0000-7000-8000-000000000002\"}\n\
    {\"stream\":\"order-1\",\"type\":\"OrderPaid\",\"data\":{\"by\":\"card\"},\"id\":\"01890000-0000-7000-8000-000000000003\",\
    \"metadata\":{\"actor\":\"ana\",\"till\":\"2\"}}\n";

const COMMANDS: &str = "\
    {\"command\":\"open\",\"command_id\":\"c1\",\"user_id\":\"ana\",\"currency\":\"EUR\"}\n\
    {\"command\":\"open\",\"command_id\":\"c2\",\"user_id\":\"ben\",\"currency\":\"EUR\",\"overdraft_limit\":500}\n\
    {\"command\":\"deposit\",\"command_id\":\"c3\",\"user_id\":\"ana\",\"amount\":5000,\"currency\":\"EUR\"}\n\
    {\"command\":\"transfer\",\"command_id\":\"c4\",\"transfer_id\":\"t1\",\"from_user_id\":\"ana\",\"to_user_id\":\"ben\",\
    \"amount\":1000,\"currency\":\"EUR\"}\n\
    {\"command\":\"hold\",\"command_id\":\"c5\",\"user_id\":\"ben\",\"hold_id\":\"h1\",\"amount\":300,\"currency\":\"EUR\"}\n\
    {\"command\":\"pay\",\"command_id\":\"c6\",\"payment_id\":\"sale-1\",\"user_id\":\"ana\",\"currency\":\"EUR\",\"wallet_amount\":250}\n";

pub(crate) struct Fixture {
    till: Made,
}

/// Where a case is run.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) store: PathBuf,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let till = Made::new();
        till.append(ORDERS);
        let output = till.command("command", &[]).write_stdin(COMMANDS).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        begin(&till, "begun");
        park(&till, "parked");
        Self { till }
    }

    pub(crate) fn place(&self, on: On) -> Place {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("day.csv"), LEDGER).unwrap();
        let store = match on {
            On::Nothing | On::Till => self.till.store(),
            On::Copy | On::Damaged => {
                let copy = folder.path().join("store");
                copied(&self.till.store(), &copy);
                copy
            }
        };
        if on == On::Damaged {
            damage(&store, "doomed");
        }
        Place { folder, store }
    }
}

/// Room that was never written takes none in the copy.
fn copied(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    if cfg!(target_os = "linux") {
        command.arg("--sparse=always");
    }
    assert!(command.arg("-R").arg(from).arg(to).status().unwrap().success());
}
