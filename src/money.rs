//! Money: integers of minor units and an ISO 4217 currency. No float anywhere.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entry {
    code: &'static str,
    exponent: u8,
}

/// A currency of ISO 4217. Written as its three letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(&'static Entry);

macro_rules! currencies {
    ($($exponent:literal: $($code:literal)*;)*) => {
        &[$($(Entry { code: $code, exponent: $exponent },)*)*]
    };
}

/// The alphabetic codes that have a minor unit, by exponent. A code that is withdrawn stays here (ANG and BGN are): stores
/// hold money in it. Metals, test codes and units of account without a minor unit are left out.
static CURRENCIES: &[Entry] = currencies! {
    0: "BIF" "CLP" "DJF" "GNF" "ISK" "JPY" "KMF" "KRW" "PYG" "RWF" "UGX" "UYI" "VND" "VUV" "XAF" "XOF" "XPF";
    2: "AED" "AFN" "ALL" "AMD" "ANG" "AOA" "ARS" "AUD" "AWG" "AZN" "BAM" "BBD" "BDT" "BGN" "BMD" "BND" "BOB" "BOV" "BRL"
       "BSD" "BTN" "BWP" "BYN" "BZD" "CAD" "CDF" "CHE" "CHF" "CHW" "CNY" "COP" "COU" "CRC" "CUP" "CVE" "CZK" "DKK" "DOP"
       "DZD" "EGP" "ERN" "ETB" "EUR" "FJD" "FKP" "GBP" "GEL" "GHS" "GIP" "GMD" "GTQ" "GYD" "HKD" "HNL" "HTG" "HUF" "IDR"
       "ILS" "INR" "IRR" "JMD" "KES" "KGS" "KHR" "KPW" "KYD" "KZT" "LAK" "LBP" "LKR" "LRD" "LSL" "MAD" "MDL" "MGA" "MKD"
       "MMK" "MNT" "MOP" "MRU" "MUR" "MVR" "MWK" "MXN" "MXV" "MYR" "MZN" "NAD" "NGN" "NIO" "NOK" "NPR" "NZD" "PAB" "PEN"
       "PGK" "PHP" "PKR" "PLN" "QAR" "RON" "RSD" "RUB" "SAR" "SBD" "SCR" "SDG" "SEK" "SGD" "SHP" "SLE" "SOS" "SRD" "SSP"
       "STN" "SVC" "SYP" "SZL" "THB" "TJS" "TMT" "TOP" "TRY" "TTD" "TWD" "TZS" "UAH" "USD" "USN" "UYU" "UZS" "VED" "VES"
       "WST" "XAD" "XCD" "XCG" "YER" "ZAR" "ZMW" "ZWG";
    3: "BHD" "IQD" "JOD" "KWD" "LYD" "OMR" "TND";
    4: "CLF" "UYW";
};

/// What a letter of a code can be.
const LETTERS: usize = 26;

/// For each code that three letters can make, one more than its place in the list; zero where it is none.
#[allow(clippy::indexing_slicing, reason = "the table is made by the compiler, which would not go beyond its ends")]
static BY_CODE: [u8; LETTERS * LETTERS * LETTERS] = {
    let mut places = [0; LETTERS * LETTERS * LETTERS];
    let (mut place, mut number) = (0, 1u8);
    while place < CURRENCIES.len() {
        let Some(at) = place_of(CURRENCIES[place].code.as_bytes()) else { panic!("a code is three capital letters") };
        assert!(places[at] == 0, "each code is there once");
        places[at] = number;
        (place, number) = (place + 1, number + 1);
    }
    places
};

/// The place of a code among all that three capital letters can make.
const fn place_of(code: &[u8]) -> Option<usize> {
    const fn letter(byte: u8) -> Option<usize> {
        if byte.is_ascii_uppercase() { Some((byte - b'A') as usize) } else { None }
    }
    let &[a, b, c] = code else { return None };
    match (letter(a), letter(b), letter(c)) {
        (Some(a), Some(b), Some(c)) => Some((a * LETTERS + b) * LETTERS + c),
        _ => None,
    }
}

impl Currency {
    /// The currency with this code of three capital letters.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        // Every amount in an event is read through here, so a look along the list would be felt in every replay.
        let place = BY_CODE.get(place_of(code.as_bytes())?)?;
        let entry = usize::from(*place).checked_sub(1).and_then(|place| CURRENCIES.get(place))?;
        Some(Self(entry))
    }

    /// Its code, such as `USD`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code
    }

    /// The decimals of its major unit: 2 where a hundred minor units make one.
    #[must_use]
    pub fn exponent(self) -> u8 {
        self.0.exponent
    }

    /// Minor units in a major one, such as 100.
    #[must_use]
    pub fn minor_per_major(self) -> i64 {
        10_i64.pow(u32::from(self.exponent()))
    }

    /// Every currency known here.
    pub fn all() -> impl Iterator<Item = Self> {
        CURRENCIES.iter().map(Self)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::str::FromStr for Currency {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self> {
        Self::from_code(code)
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, format!("{code:?} is no currency code of ISO 4217")))
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Code;
        impl Visitor<'_> for Code {
            type Value = Currency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a currency code of ISO 4217")
            }

            fn visit_str<E: de::Error>(self, code: &str) -> Result<Currency, E> {
                Currency::from_code(code).ok_or_else(|| E::invalid_value(de::Unexpected::Str(code), &self))
            }
        }
        deserializer.deserialize_str(Code)
    }
}

/// An amount in a currency, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units, such as cents; may be negative.
    pub minor: i64,
    /// What they are units of.
    pub currency: Currency,
}

impl Money {
    /// This many minor units of `currency`.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The sum.
    ///
    /// # Errors
    /// `InvalidInput`: of two currencies, or beyond 64 bits.
    pub fn checked_add(self, other: Self) -> Result<Self> {
        self.combine(other, "add", i64::checked_add)
    }

    /// The difference.
    ///
    /// # Errors
    /// `InvalidInput`: of two currencies, or beyond 64 bits.
    pub fn checked_sub(self, other: Self) -> Result<Self> {
        self.combine(other, "subtract", i64::checked_sub)
    }

    fn combine(self, other: Self, what: &str, operation: fn(i64, i64) -> Option<i64>) -> Result<Self> {
        let invalid = |why: &str| Error::new(ErrorKind::InvalidInput, format!("{what} {self} and {other}: {why}"));
        if self.currency != other.currency {
            return Err(invalid("the currencies differ"));
        }
        match operation(self.minor, other.minor) {
            Some(minor) => Ok(Self { minor, ..self }),
            None => Err(invalid("the result is beyond 64 bits")),
        }
    }
}

/// `12.34 USD`, `-0.05 USD`, `12 JPY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let unit = self.currency.minor_per_major().unsigned_abs();
        let (major, minor) = (self.minor.unsigned_abs() / unit, self.minor.unsigned_abs() % unit);
        match usize::from(self.currency.exponent()) {
            0 => write!(f, "{sign}{major} {}", self.currency),
            decimals => write!(f, "{sign}{major}.{minor:0decimals$} {}", self.currency),
        }
    }
}

/// The minor units that a decimal number of major units stands for: a minus or none, digits, and where the currency has minor
/// units a point and at most as many decimals as its exponent. Nothing else: no plus, no spaces, no exponent, no separators,
/// no rounding.
///
/// # Errors
/// `InvalidInput`, with the reason.
pub fn parse_decimal(text: &str, currency: Currency) -> Result<i64> {
    let invalid =
        |why: &str| Error::new(ErrorKind::InvalidInput, format!("{text:?} is no amount of {currency}: {why}"));
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (major, decimals) = match digits.split_once('.') {
        Some((major, decimals)) => (major, Some(decimals)),
        None => (digits, None),
    };
    if major.is_empty() {
        return Err(invalid("there is no digit before the point"));
    }
    if decimals == Some("") {
        return Err(invalid("there is no digit after the point"));
    }
    let decimals = decimals.unwrap_or("");
    if !major.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("only digits, one point and a leading minus are allowed"));
    }
    let exponent = usize::from(currency.exponent());
    if decimals.len() > exponent {
        return Err(invalid(&format!("it has {} decimals, at most {exponent} are allowed", decimals.len())));
    }
    let padding = std::iter::repeat_n(b'0', exponent.saturating_sub(decimals.len()));
    // The sum is taken on the side of its sign, since the most negative number has no positive twin.
    let mut minor = 0_i64;
    for byte in major.bytes().chain(decimals.bytes()).chain(padding) {
        let digit = i64::from(byte - b'0');
        let next = if is_negative {
            minor.checked_mul(10).and_then(|minor| minor.checked_sub(digit))
        } else {
            minor.checked_mul(10).and_then(|minor| minor.checked_add(digit))
        };
        minor = next.ok_or_else(|| invalid("it is beyond 64 bits of minor units"))?;
    }
    Ok(minor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
    }

    #[test]
    fn every_code_is_three_capital_letters_and_stands_once() {
        let codes: std::collections::BTreeSet<_> = Currency::all().map(Currency::code).collect();
        assert_eq!(codes.len(), Currency::all().count());
        for code in codes {
            assert!(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()), "{code}");
            assert_eq!(currency(code).code(), code);
        }
        let exponents = ["JPY", "USD", "KWD", "CLF"].map(|code| currency(code).exponent());
        assert_eq!(exponents, [0, 2, 3, 4]);
    }

    #[test]
    fn unknown_codes_and_those_without_a_minor_unit_are_no_currency() {
        for code in ["", "usd", "US", "USDX", "XAU", "XXX", "XTS", "ZZZ"] {
            assert_eq!(Currency::from_code(code), None, "{code}");
        }
        assert_eq!("ZZZ".parse::<Currency>().unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_currency_is_encoded_as_its_code() {
        assert_eq!(codec::encode(&currency("EUR")).unwrap(), [3, b'E', b'U', b'R']);
        assert_eq!(codec::decode::<Currency>(&[3, b'E', b'U', b'R']).unwrap(), currency("EUR"));
        assert_eq!(codec::decode::<Currency>(&[3, b'Z', b'Z', b'Z']).unwrap_err().kind(), ErrorKind::UnknownPayload);
        assert_eq!(serde_json::to_string(&Money::new(5, currency("JPY"))).unwrap(), r#"{"minor":5,"currency":"JPY"}"#);
    }

    #[test]
    fn money_is_shown_with_its_currencys_decimals() {
        let shown = |minor, code| Money::new(minor, currency(code)).to_string();
        assert_eq!(shown(1234, "USD"), "12.34 USD");
        assert_eq!(shown(-5, "USD"), "-0.05 USD");
        assert_eq!(shown(12, "JPY"), "12 JPY");
        assert_eq!(shown(1, "KWD"), "0.001 KWD");
        assert_eq!(shown(i64::MIN, "USD"), "-92233720368547758.08 USD");
    }

    #[test]
    fn sums_of_two_currencies_and_beyond_64_bits_are_refused() {
        let (usd, eur) = (currency("USD"), currency("EUR"));
        assert_eq!(Money::new(1, usd).checked_add(Money::new(2, usd)).unwrap(), Money::new(3, usd));
        assert_eq!(Money::new(1, usd).checked_sub(Money::new(2, usd)).unwrap(), Money::new(-1, usd));
        for error in [
            Money::new(1, usd).checked_add(Money::new(2, eur)),
            Money::new(i64::MAX, usd).checked_add(Money::new(1, usd)),
            Money::new(i64::MIN, usd).checked_sub(Money::new(1, usd)),
        ] {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn decimals_are_taken_exactly() {
        let parsed = |text, code| parse_decimal(text, currency(code)).ok();
        assert_eq!(parsed("12.34", "USD"), Some(1234));
        assert_eq!(parsed("12.3", "USD"), Some(1230));
        assert_eq!(parsed("12", "USD"), Some(1200));
        assert_eq!(parsed("-0.05", "USD"), Some(-5));
        assert_eq!(parsed("0007", "JPY"), Some(7));
        assert_eq!(parsed("0.001", "KWD"), Some(1));
        assert_eq!(parsed("-0", "USD"), Some(0));
        assert_eq!(parsed("92233720368547758.07", "USD"), Some(i64::MAX));
        assert_eq!(parsed("-92233720368547758.08", "USD"), Some(i64::MIN));
    }

    #[test]
    fn everything_else_is_no_amount() {
        let too_much = ["92233720368547758.08", "-92233720368547758.09", &"9".repeat(400)];
        let malformed = [
            "", "-", "+1", " 1", "1 ", "1.", ".5", "1.2.3", "1,5", "1e3", "0x1", "--1", "1-", "NaN", "1.234", "\u{661}",
        ];
        for text in too_much.into_iter().chain(malformed) {
            let error = parse_decimal(text, currency("USD")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
        assert!(parse_decimal("1.0", currency("JPY")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_parsed_again(minor: i64, index in 0..CURRENCIES.len()) {
            let currency = Currency(&CURRENCIES[index]);
            let shown = Money::new(minor, currency).to_string();
            let number = shown.strip_suffix(&format!(" {currency}")).unwrap();
            prop_assert_eq!(parse_decimal(number, currency).unwrap(), minor);
        }
    }
}
