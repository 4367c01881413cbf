//! The project's own ledger format: `id,user_id,timestamp,kind,amount,currency`.

use bitacora::money::Currency;

use super::{Kind, LedgerLine, Refusal, amount};

/// The header that a CSV ledger starts with.
pub(crate) const HEADER: &str = "id,user_id,timestamp,kind,amount,currency";

const FIELDS: usize = 6;

/// What line `number` says.
///
/// Fields may be quoted as in RFC 4180, except that a line break ends the line wherever it stands: a line of business
/// has a number, and that is the physical one.
pub(crate) fn parse_line(number: u64, text: &str) -> Result<LedgerLine, Refusal> {
    let fields = split(text)?;
    let [id, user_id, timestamp, kind, amount_text, currency] = fields.as_slice() else {
        return Err(Refusal::Malformed(format!("{} fields instead of {FIELDS}", fields.len())));
    };
    let id = super::checked_id("id", id)?;
    let user_id = super::checked_id("user_id", user_id)?;
    if timestamp.is_empty() || timestamp.len() > super::FIELD_BYTES_MAX {
        return Err(Refusal::Malformed("the timestamp is empty or too long".to_owned()));
    }
    let kind = match kind.as_str() {
        "deposit" => Kind::Deposit,
        "withdrawal" => Kind::Withdrawal,
        "payment" => Kind::Payment,
        other => return Err(Refusal::Malformed(format!("unknown kind {other:?}"))),
    };
    let currency: Currency = currency.parse().map_err(|_| Refusal::UnknownCurrency(currency.clone()))?;
    let amount = amount(amount_text, currency)?;
    Ok(LedgerLine { number, id, user_id, occurred_at: timestamp.clone(), kind, amount })
}

/// Where a field's reader stands.
enum State {
    Start,
    Plain,
    Quoted,
    QuoteInQuoted,
}

fn split(text: &str) -> Result<Vec<String>, Refusal> {
    let malformed = |why: &str| Refusal::Malformed(why.to_owned());
    let mut fields = Vec::with_capacity(FIELDS);
    let mut field = String::new();
    let mut state = State::Start;
    for character in text.chars() {
        state = match (state, character) {
            (State::Start | State::Plain | State::QuoteInQuoted, ',') => {
                fields.push(std::mem::take(&mut field));
                State::Start
            }
            (State::Start, '"') => State::Quoted,
            (State::Plain, '"') => return Err(malformed("a quote inside a field that is not quoted")),
            (State::QuoteInQuoted, '"') => {
                field.push('"');
                State::Quoted
            }
            (State::QuoteInQuoted, _) => return Err(malformed("text after a closing quote")),
            (State::Quoted, '"') => State::QuoteInQuoted,
            (State::Quoted, other) => {
                field.push(other);
                State::Quoted
            }
            (State::Start | State::Plain, other) => {
                field.push(other);
                State::Plain
            }
        };
    }
    if matches!(state, State::Quoted) {
        return Err(malformed("a quote that is not closed on its line"));
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<LedgerLine, Refusal> {
        parse_line(7, text)
    }

    #[test]
    fn a_line_is_read_with_its_physical_number_and_its_amount_in_minor() {
        let line = line("p1,00001,2026-03-02T09:00:00Z,payment,12.34,EUR").unwrap();
        assert_eq!((line.number, line.id.as_str(), line.user_id.as_str()), (7, "p1", "00001"));
        assert_eq!(line.kind, Kind::Payment);
        assert_eq!(line.amount.minor, 1_234);
        assert_eq!(line.amount.currency.code(), "EUR");
        assert_eq!(line.occurred_at, "2026-03-02T09:00:00Z");
    }

    #[test]
    fn quoted_fields_keep_commas_and_doubled_quotes() {
        let line = line(r#""p,1","Ana ""la"" Paz",t,deposit,"5.00",EUR"#).unwrap();
        assert_eq!(line.id, "p,1");
        assert_eq!(line.user_id, r#"Ana "la" Paz"#);
    }

    #[test]
    fn broken_quotes_and_wrong_shapes_are_malformed() {
        for text in [
            "",
            "p1",
            "p1,u,t,payment,5.00",
            "p1,u,t,payment,5.00,EUR,more",
            "p\"1,u,t,payment,5.00,EUR",
            "\"p1\"x,u,t,payment,5.00,EUR",
            "\"p1,u,t,payment,5.00,EUR",
            ",u,t,payment,5.00,EUR",
            "p1,,t,payment,5.00,EUR",
            "p1,u,,payment,5.00,EUR",
            "p1,u,t,refund,5.00,EUR",
            "p1,u,t,payment,five,EUR",
            "p1,u,t,payment,,EUR",
            "p\t1,u,t,payment,5.00,EUR",
        ] {
            assert!(matches!(line(text), Err(Refusal::Malformed(_))), "{text:?}: {:?}", line(text));
        }
    }

    #[test]
    fn amounts_are_checked_against_the_exponent_of_their_currency() {
        assert_eq!(line("p,u,t,payment,1500,JPY").unwrap().amount.minor, 1_500);
        assert_eq!(line("p,u,t,payment,1.234,KWD").unwrap().amount.minor, 1_234);
        assert!(matches!(line("p,u,t,payment,1.5,JPY"), Err(Refusal::Malformed(_))));
        assert!(matches!(line("p,u,t,payment,1.234,EUR"), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn zero_negative_and_unknown_currency_are_told_apart() {
        assert_eq!(line("p,u,t,payment,0.00,EUR"), Err(Refusal::ZeroAmount));
        assert_eq!(line("p,u,t,payment,-0.00,EUR"), Err(Refusal::ZeroAmount));
        assert_eq!(line("p,u,t,payment,-1.00,EUR"), Err(Refusal::NegativeAmount));
        assert_eq!(line("p,u,t,payment,1.00,ZZZ"), Err(Refusal::UnknownCurrency("ZZZ".to_owned())));
    }
}
