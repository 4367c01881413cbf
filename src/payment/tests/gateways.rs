//! The gateways of this crate: the rules they keep, and the journal in its folder.

use std::collections::HashMap;
use std::io::Write;

use super::super::gateway_journal::JOURNAL_FILE;
use super::super::*;
use crate::ErrorKind;
use crate::money::{Currency, Money};

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").unwrap())
}

/// Half of everything goes wrong.
const ROUGH: GatewayProfile = GatewayProfile {
    decline_permille: 200,
    timeout_after_permille: 250,
    timeout_before_permille: 250,
    seed: 7,
    settles: false,
};

fn authorise_key(n: u32) -> String {
    GatewayCommand::Authorise.key(&format!("p{n}"))
}

fn declined(answer: &GatewayAnswer) -> bool {
    matches!(answer, GatewayAnswer::Declined { .. })
}

fn approved(answer: &GatewayAnswer) -> bool {
    matches!(answer, GatewayAnswer::Approved { .. })
}

#[test]
fn every_key_answers_by_its_third_call_and_ever_after_the_same_with_one_effect() {
    let gateway = MemoryGateway::new(ROUGH);
    let mut timeouts_seen = [0; 3];
    for n in 0..500 {
        let key = authorise_key(n);
        let answers: Vec<_> = (0..6).map(|_| gateway.authorise(&key, eur(10), "u")).collect();
        let timeouts = answers.iter().take_while(|answer| **answer == GatewayAnswer::Unknown).count();
        assert!(timeouts <= 2, "{key}: {answers:?}");
        timeouts_seen[timeouts] += 1;
        assert!(answers[timeouts..].iter().all(|answer| *answer == answers[timeouts]), "{key}: {answers:?}");
        assert_ne!(answers[timeouts], GatewayAnswer::Unknown);
        let journal = gateway.journal();
        let charge = &journal.charges[&format!("p{n}")];
        assert_eq!(charge.authorisations, u32::from(approved(&answers[timeouts])), "{key}");
        assert_eq!(charge.authorisations + charge.declines, 1, "{key}");
    }
    assert!(timeouts_seen.iter().all(|count| *count > 20), "each case is met: {timeouts_seen:?}");
}

#[test]
fn a_query_changes_nothing_and_says_what_became_of_the_command() {
    let gateway = MemoryGateway::new(ROUGH);
    let mut met: HashMap<&str, u32> = HashMap::new();
    for n in 0..500 {
        let key = authorise_key(n);
        assert_eq!(gateway.query(&key), GatewayOutcome::NotSeen, "before the command");
        let answer = gateway.authorise(&key, eur(10), "u");
        let effects = gateway.journal().charges[&format!("p{n}")].authorisations;
        let outcome = gateway.query(&key);
        let case = match (&answer, &outcome) {
            (GatewayAnswer::Approved { reference }, GatewayOutcome::Approved { reference: again }) => {
                assert_eq!(reference, again);
                "approved"
            }
            (GatewayAnswer::Declined { .. }, GatewayOutcome::Declined { .. }) => "declined",
            (GatewayAnswer::Unknown, GatewayOutcome::Approved { .. }) => {
                assert_eq!(effects, 1);
                "it had acted"
            }
            (GatewayAnswer::Unknown, GatewayOutcome::NotSeen) => {
                assert_eq!(effects, 0);
                "it had not acted"
            }
            (GatewayAnswer::Unknown, GatewayOutcome::Declined { .. }) => "it had declined",
            (GatewayAnswer::Unknown, GatewayOutcome::Unknown) => "nothing is known",
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(gateway.journal().charges[&format!("p{n}")].authorisations, effects);
        *met.entry(case).or_default() += 1;
    }
    assert_eq!(met.len(), 6, "each case is met: {met:?}");
}

#[test]
fn a_void_of_a_key_that_was_not_seen_makes_a_later_authorisation_decline() {
    let gateway = MemoryGateway::new(GatewayProfile::always_approve());
    assert!(approved(&gateway.void("p/void", "p/authorise")));
    assert!(declined(&gateway.authorise("p/authorise", eur(10), "u")));
    assert!(declined(&gateway.capture("p/capture", "p/authorise", eur(10))));
    let charge = &gateway.journal().charges["p"];
    assert_eq!((charge.authorised, charge.captured, charge.net(), charge.open()), (0, 0, 0, 0));
}

#[test]
fn captures_and_refunds_never_exceed_what_they_are_of() {
    let gateway = MemoryGateway::new(GatewayProfile::always_approve());
    assert!(declined(&gateway.capture("p/capture", "p/authorise", eur(10))), "nothing is authorised");
    assert!(approved(&gateway.authorise("q/authorise", eur(10), "u")));
    assert!(declined(&gateway.authorise("q/authorise", eur(11), "u")), "the key stands for another command");
    assert!(declined(&gateway.capture("q/capture-1", "q/authorise", eur(11))));
    let usd = Money::new(5, Currency::from_code("USD").unwrap());
    assert!(declined(&gateway.capture("q/capture-2", "q/authorise", usd)));
    assert!(declined(&gateway.capture("q/capture-3", "q/authorise", eur(0))));
    assert!(declined(&gateway.capture("q/capture-4", "q/authorise", eur(-1))));
    assert!(approved(&gateway.capture("q/capture", "q/authorise", eur(10))));
    assert!(declined(&gateway.capture("q/capture-5", "q/authorise", eur(1))), "all of it is captured");
    assert!(declined(&gateway.void("q/void", "q/authorise")), "what is captured is not voided");
    assert!(declined(&gateway.refund("q/refund-1", "q/capture", eur(11))));
    assert!(approved(&gateway.refund("q/refund", "q/capture", eur(4))));
    assert!(declined(&gateway.refund("q/refund-2", "q/capture", eur(7))));
    let charge = &gateway.journal().charges["q"];
    assert_eq!((charge.authorised, charge.captured, charge.refunded, charge.net()), (10, 10, 4, 6));
    assert!(!charge.is_double());
}

/// What a gateway answers to a fixed list of calls, split over two openings at `cut`.
fn answers_of(folder: &std::path::Path, cut: u32) -> Vec<GatewayAnswer> {
    let mut answers = Vec::new();
    for range in [0..cut, cut..300] {
        let gateway = FileGateway::open_with(folder, ROUGH).unwrap();
        // Each key is called three times on end.
        answers.extend(range.map(|call| gateway.authorise(&authorise_key(call / 3), eur(10), "u")));
    }
    answers
}

#[test]
fn a_file_gateway_answers_the_same_whenever_it_is_restarted() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let whole = answers_of(folders[0].path(), 300);
    assert_eq!(answers_of(folders[1].path(), 100), whole);
    assert_eq!(answers_of(folders[2].path(), 151), whole);
    let journals: Vec<_> =
        folders.iter().map(|folder| std::fs::read(folder.path().join(JOURNAL_FILE)).unwrap()).collect();
    assert!(journals[0] == journals[1] && journals[0] == journals[2], "the journals are the same to the byte");
    let seeded = tempfile::tempdir().unwrap();
    let other = FileGateway::open_with(seeded.path(), ROUGH.with_seed(8)).unwrap();
    let others: Vec<_> = (0..300).map(|call| other.authorise(&authorise_key(call / 3), eur(10), "u")).collect();
    assert_ne!(others, whole, "another seed, other answers");
}

#[test]
fn a_file_gateway_has_one_owner_and_readers_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = FileGateway::open_with(folder.path(), GatewayProfile::always_approve()).unwrap();
    assert_eq!(FileGateway::open(folder.path()).unwrap_err().kind(), ErrorKind::Locked);
    gateway.authorise("p/authorise", eur(10), "u");
    let journal = FileGateway::read_journal(folder.path()).unwrap();
    assert_eq!(journal.charges["p"].authorised, 10);
    drop(gateway);
    FileGateway::open(folder.path()).unwrap();
    let nowhere = FileGateway::read_journal(folder.path().join("nowhere"));
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Goal: a kill or a power cut in the middle of the last line loses nothing that was answered on. Method: the journal is cut at
/// every byte of its first and of its last line, read, opened, and gone on with.
#[test]
fn a_journal_cut_at_any_byte_of_a_line_keeps_every_whole_line_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = FileGateway::open_with(folder.path(), GatewayProfile::always_approve()).unwrap();
    let odd = "odd\tkey\\n\n";
    gateway.authorise("p/authorise", eur(10), "u");
    gateway.void(&format!("{odd}/void"), &format!("{odd}/authorise"));
    drop(gateway);
    let path = folder.path().join(JOURNAL_FILE);
    let whole = std::fs::read(&path).unwrap();
    let all = FileGateway::read_journal(folder.path()).unwrap();
    assert!(all.charges.contains_key(odd), "keys may hold anything");
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    assert_eq!(ends.len(), 3);
    for cut in (0..ends[0]).chain(ends[1]..whole.len()) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let lines = ends.iter().filter(|end| **end <= cut).count();
        let journal = FileGateway::read_journal(folder.path()).unwrap();
        assert_eq!(journal.calls, u64::try_from(lines).unwrap().saturating_sub(1), "cut at {cut}");
        let torn = cut - lines.checked_sub(1).map_or(0, |last| ends[last]);
        assert_eq!(journal.torn_bytes, u64::try_from(torn).unwrap(), "cut at {cut}");
        let gateway = FileGateway::open_with(folder.path(), GatewayProfile::always_approve()).unwrap();
        assert!(approved(&gateway.authorise("p/authorise", eur(10), "u")));
        drop(gateway);
        let again = FileGateway::read_journal(folder.path()).unwrap();
        assert_eq!((again.torn_bytes, again.calls), (0, 1), "cut at {cut}");
        assert_eq!(again.charges["p"].authorisations, 1, "cut at {cut}");
    }
}

#[test]
fn damage_before_a_whole_line_is_an_error_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = FileGateway::open_with(folder.path(), GatewayProfile::always_approve()).unwrap();
    (0..3).for_each(|n| {
        gateway.authorise(&authorise_key(n), eur(10), "u");
    });
    drop(gateway);
    let path = folder.path().join(JOURNAL_FILE);
    let whole = std::fs::read(&path).unwrap();
    let mut lines: Vec<Vec<u8>> = whole.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let flipped = {
        let mut bytes = whole.clone();
        bytes[lines[0].len() + 12] ^= 1;
        bytes
    };
    lines.remove(1);
    let missing = lines.concat();
    for (bytes, what) in [(flipped, "a flipped bit"), (missing, "a missing line")] {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(FileGateway::read_journal(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
        assert_eq!(FileGateway::open(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what}");
    }
    let mut newer = std::fs::File::create(&path).unwrap();
    let content = "0\tbitacora-gateway-2";
    writeln!(newer, "{:08x}\t{content}", crc32fast::hash(content.as_bytes())).unwrap();
    assert_eq!(FileGateway::open(folder.path()).unwrap_err().kind(), ErrorKind::UnsupportedFormat);
}

#[test]
fn the_journal_has_golden_lines() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = FileGateway::open_with(folder.path(), GatewayProfile::always_approve()).unwrap();
    gateway.authorise("p/authorise", eur(10), "u");
    gateway.void("p/void", "p/authorise");
    gateway.capture("p/capture", "p/authorise", eur(10));
    drop(gateway);
    let text = std::fs::read_to_string(folder.path().join(JOURNAL_FILE)).unwrap();
    assert_eq!(text, GOLDEN_JOURNAL);
}

const GOLDEN_JOURNAL: &str = "\
972414ab\t0\tbitacora-gateway-1
38457b54\t1\tauthorise\tp/authorise\t\t10\tEUR\tacted\tanswered\t-
0bf3a21c\t2\tvoid\tp/void\tp/authorise\t-\t-\tacted\tanswered\t-
80c5f4e9\t3\tcapture\tp/capture\tp/authorise\t10\tEUR\tdeclined\tanswered\tthe authorisation is voided
";

#[test]
fn many_threads_share_one_gateway_and_every_answer_is_in_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = FileGateway::open_with(folder.path(), GatewayProfile::always_approve()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let gateway = gateway.clone();
            scope.spawn(move || {
                for n in 0..20 {
                    // Every key is called by two threads.
                    let key = authorise_key(thread / 2 * 100 + n);
                    assert!(approved(&gateway.authorise(&key, eur(10), "u")));
                }
            });
        }
    });
    let journal = FileGateway::read_journal(folder.path()).unwrap();
    assert_eq!(journal.charges.len(), 80);
    assert!(journal.charges.values().all(|charge| charge.authorisations == 1 && charge.authorised == 10));
}
