//! The CDNOW master file: `customer date count dollars`, separated by spaces, real purchases of a record shop.

use bitacora::money::Currency;

use super::{Kind, LedgerLine, Refusal, amount};

/// What line `number` says: a payment in US dollars whose id is that number.
pub(crate) fn parse_line(number: u64, text: &str) -> Result<LedgerLine, Refusal> {
    let malformed = |why: String| Refusal::Malformed(why);
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [customer, date, count, dollars] = fields.as_slice() else {
        return Err(malformed(format!("{} fields instead of 4", fields.len())));
    };
    let user_id = super::checked_id("customer", customer)?;
    let occurred_at = date_of(date).ok_or_else(|| malformed(format!("{date:?} is no date")))?;
    count.parse::<u32>().map_err(|_| malformed(format!("{count:?} is no count")))?;
    let currency: Currency = "USD".parse().map_err(|_| Refusal::UnknownCurrency("USD".to_owned()))?;
    let amount = amount(dollars, currency)?;
    Ok(LedgerLine { number, id: number.to_string(), user_id, occurred_at, kind: Kind::Payment, amount })
}

/// `19970131` as `1997-01-31`.
fn date_of(text: &str) -> Option<String> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year = text.get(..4)?.parse().ok()?;
    let month = text.get(4..6)?.parse().ok()?;
    let day = text.get(6..)?.parse().ok()?;
    jiff::civil::Date::new(year, month, day).ok().map(|date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_is_a_payment_whose_id_is_its_line_number() {
        let line = parse_line(2, " 00001 19970101  1   11.77").unwrap();
        assert_eq!((line.id.as_str(), line.user_id.as_str()), ("2", "00001"));
        assert_eq!(line.occurred_at, "1997-01-01");
        assert_eq!(line.kind, Kind::Payment);
        assert_eq!((line.amount.minor, line.amount.currency.code()), (1_177, "USD"));
    }

    #[test]
    fn zero_dollars_are_refused() {
        assert_eq!(parse_line(9, " 00001 19970101  1    0.00"), Err(Refusal::ZeroAmount));
    }

    #[test]
    fn dates_that_no_calendar_has_and_missing_fields_are_malformed() {
        for text in [
            " 00001 19970230  1   11.77",
            " 00001 1997013  1   11.77",
            " 00001 19970101  x   11.77",
            " 00001 19970101  1",
            " 00001 19970101  1 1.0 1",
            " 00001 19970101  1   1.777",
        ] {
            assert!(matches!(parse_line(3, text), Err(Refusal::Malformed(_))), "{text}");
        }
    }
}
