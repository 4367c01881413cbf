use bitacora::wallet::{WalletCommand, WalletLimits, WalletRefusal};

use super::line::{Ask, Line};

fn parse(text: &str) -> Line {
    Line::parse(text.as_bytes()).unwrap()
}

fn wallet_command(text: &str) -> WalletCommand {
    match parse(text).ask.unwrap() {
        Ask::Wallet { command, .. } => command,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn no_command(text: &str, part: &str) {
    let failure = format!("{:?}", Line::parse(text.as_bytes()).unwrap_err());
    assert!(failure.contains(part), "{failure}");
}

#[test]
fn what_may_be_left_out_has_its_default() {
    let WalletCommand::Open { overdraft_limit, limits, .. } =
        wallet_command(r#"{"command":"open","command_id":"1","user_id":"u","currency":"EUR"}"#)
    else {
        panic!("it opens")
    };
    assert_eq!((overdraft_limit, limits), (0, WalletLimits::default()));
    let capture = r#"{"command":"capture","command_id":"1","user_id":"u","hold_id":"h","amount":1,"currency":"EUR"}"#;
    assert!(matches!(wallet_command(capture), WalletCommand::Capture { is_final: true, .. }));
    let freeze = r#"{"command":"freeze","command_id":"1","user_id":"u","debits_only":null}"#;
    assert!(matches!(wallet_command(freeze), WalletCommand::Freeze { debits_only: false }));
}

#[test]
fn a_command_is_its_events_cause_unless_the_line_names_another() {
    let line = parse(r#"{"command":"close","command_id":"c-1","user_id":"u","metadata":{"actor":"ana","till":"7"}}"#);
    assert_eq!(line.metadata.causation_id.as_deref(), Some("c-1"));
    assert_eq!(line.metadata.actor.as_deref(), Some("ana"));
    assert_eq!(line.metadata.pairs, [("till".to_owned(), "7".to_owned())]);
    let line = parse(r#"{"command":"close","command_id":"c-1","user_id":"u","metadata":{"causation_id":"x"}}"#);
    assert_eq!(line.metadata.causation_id.as_deref(), Some("x"));
}

#[test]
fn an_amount_is_an_integer_and_nothing_else() {
    for amount in ["1.0", "1e2", "\"1\"", "true", "[1]", "9223372036854775808", "-9223372036854775809"] {
        let text =
            format!(r#"{{"command":"deposit","command_id":"1","user_id":"u","amount":{amount},"currency":"EUR"}}"#);
        no_command(&text, "amount: ");
    }
    no_command(r#"{"command":"deposit","command_id":"1","user_id":"u","currency":"EUR"}"#, "missing field `amount`");
    no_command(
        r#"{"command":"deposit","command_id":"1","user_id":"u","amount":null,"currency":"EUR"}"#,
        "missing field `amount`",
    );
}

#[test]
fn what_is_no_command_says_why() {
    no_command("", "EOF");
    no_command("[]", "an object");
    no_command("{", "EOF");
    no_command(r#"{"command_id":"1"}"#, "missing field `command`");
    no_command(r#"{"command":"close","user_id":"u"}"#, "missing field `command_id`");
    no_command(r#"{"command":"close","command_id":"","user_id":"u"}"#, "command_id: ");
    no_command(r#"{"command":"close","command_id":7,"user_id":"u"}"#, "command_id: 7 is not a text");
    no_command(r#"{"command":"close","command_id":"1"}"#, "missing field `user_id`");
    no_command(r#"{"command":"dance","command_id":"1","user_id":"u"}"#, "there is no command \\\"dance\\\"");
    no_command(r#"{"command":"close","command_id":"1","user_id":"u","why":1}"#, "unknown field `why`");
    no_command(r#"{"command":"close","command_id":"1","user_id":"u","user_id":"v"}"#, "duplicate field `user_id`");
    no_command(r#"{"command":"close","command_id":"1","user_id":"u"} x"#, "trailing characters");
    no_command(r#"{"command":"close","command_id":"1","user_id":"u","metadata":{"a":1}}"#, "metadata: ");
    no_command(r#"{"command":"set_limits","command_id":"1","user_id":"u"}"#, "missing field `limits`");
    no_command(
        r#"{"command":"set_limits","command_id":"1","user_id":"u","limits":{"per_week":1}}"#,
        "unknown field `limits.per_week`",
    );
    no_command(
        r#"{"command":"resolve","command_id":"1","payment_id":"p","as":"paid","operator":"o","reason":"r"}"#,
        "as: ",
    );
}

#[test]
fn what_no_wallet_can_be_asked_is_refused_and_no_bad_line() {
    let refusal = |text: &str| parse(text).ask.unwrap_err();
    let unknown = refusal(r#"{"command":"open","command_id":"1","user_id":"u","currency":"EURO"}"#);
    assert_eq!(unknown, WalletRefusal::UnknownCurrency { code: "EURO".to_owned() });
    let hold = r#"{"command":"extend_hold","command_id":"1","user_id":"u","hold_id":"h","time_to_live_ms":-1}"#;
    assert_eq!(refusal(hold), WalletRefusal::InvalidTimeToLive);
    let pay = |amounts: &str| {
        refusal(&format!(
            r#"{{"command":"pay","command_id":"1","payment_id":"p","user_id":"u","currency":"EUR"{amounts}}}"#
        ))
    };
    assert_eq!(pay(""), WalletRefusal::InvalidAmount { amount: 0 });
    assert_eq!(pay(r#","wallet_amount":5,"card_amount":-5"#), WalletRefusal::InvalidAmount { amount: -5 });
    assert!(matches!(pay(r#","wallet_amount":9223372036854775807,"card_amount":1"#), WalletRefusal::Overflow { .. }));
}
