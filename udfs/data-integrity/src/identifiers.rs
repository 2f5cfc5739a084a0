//! Check digits of identifiers that standards define.

use millstream_udf::prelude::*;

/// A standard that a field's text must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standard {
    /// Currency code, ISO 4217.
    Currency,
    /// International bank account number, ISO 13616: check digits by ISO 7064 MOD 97-10. Lengths per country are not
    /// looked at.
    Iban,
    /// Legal entity identifier, ISO 17442: check digits by ISO 7064 MOD 97-10.
    Lei,
    /// International securities identification number, ISO 6166.
    Isin,
    /// Number of a card, ISO/IEC 7812: check digit by Luhn's formula.
    Card,
}

impl Standard {
    /// Whether the text follows the standard. Without spaces, in capitals, as identifiers are transmitted.
    pub fn admits(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let upper = bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let letters = |n: usize| bytes.iter().take(n).all(u8::is_ascii_uppercase);
        match self {
            Self::Currency => finance::Currency::from_code(text).is_ok(),
            Self::Iban => {
                (15..=34).contains(&bytes.len())
                    && upper
                    && letters(2)
                    && bytes[2..4].iter().all(u8::is_ascii_digit)
                    && mod_97(bytes[4..].iter().chain(&bytes[..4])) == 1
            }
            Self::Lei => bytes.len() == 20 && upper && mod_97(bytes) == 1,
            Self::Isin => bytes.len() == 12 && upper && letters(2) && luhn(digits(bytes)),
            Self::Card => {
                (8..=19).contains(&bytes.len())
                    && bytes.iter().all(u8::is_ascii_digit)
                    && luhn(digits(bytes))
            }
        }
    }
}

/// The value of a capital or digit: 0 to 9, then A = 10 to Z = 35.
fn value(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        _ => u32::from(byte.wrapping_sub(b'A')) + 10,
    }
}

/// The remainder by 97 of the number that capitals and digits spell.
fn mod_97<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    bytes.into_iter().fold(0, |remainder, &byte| {
        let value = value(byte);
        (remainder * if value < 10 { 10 } else { 100 } + value) % 97
    })
}

/// The decimal digits that capitals and digits spell.
fn digits(bytes: &[u8]) -> Vec<u32> {
    let of = |&byte: &u8| {
        let value = value(byte);
        if value < 10 { vec![value] } else { vec![value / 10, value % 10] }
    };
    bytes.iter().flat_map(of).collect()
}

/// Luhn's formula: every second digit from the right is doubled, and all digits add up to a multiple of 10.
fn luhn(digits: Vec<u32>) -> bool {
    let doubled = |(i, digit): (usize, u32)| {
        let digit = if i % 2 == 1 { 2 * digit } else { digit };
        digit / 10 + digit % 10
    };
    digits.into_iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The IBANs are the examples of the SWIFT IBAN registry for the United Kingdom, Germany and Norway; the LEI is
    /// Bloomberg Finance's, the ISINs are Apple's and the one whose check digit ISO 6166 is usually explained by; the card
    /// numbers are the example of ISO/IEC 7812-1 and Visa's test number.
    #[test]
    fn published_identifiers() {
        for (standard, text) in [
            (Standard::Iban, "GB29NWBK60161331926819"),
            (Standard::Iban, "DE89370400440532013000"),
            (Standard::Iban, "NO9386011117947"),
            (Standard::Lei, "5493001KJTIIGC8Y1R12"),
            (Standard::Isin, "US0378331005"),
            (Standard::Isin, "AU0000XVGZA3"),
            (Standard::Card, "49927398716"),
            (Standard::Card, "4111111111111111"),
        ] {
            let other_last = |text: &str| {
                let last = text.as_bytes()[text.len() - 1];
                let changed = if last == b'9' { '0' } else { char::from(last + 1) };
                format!("{}{changed}", &text[..text.len() - 1])
            };
            assert!(standard.admits(text), "{standard:?} {text}");
            assert!(!standard.admits(&other_last(text)), "{standard:?} {text}");
        }
        assert!(!Standard::Iban.admits("gb29nwbk60161331926819"));
        assert!(!Standard::Iban.admits("GB29 NWBK 6016 1331 9268 19"));
        assert!(!Standard::Lei.admits(""));
        assert!(Standard::Currency.admits("EUR") && !Standard::Currency.admits("EURO"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// MOD 97-10 finds every single wrong digit (ISO 7064).
        #[test]
        fn one_wrong_digit_is_found(at in 8..22_usize, other in "[0-9]") {
            let mut text = "GB29NWBK60161331926819".to_owned();
            let unchanged = text[at..=at] == other;
            text.replace_range(at..=at, &other);
            prop_assert_eq!(Standard::Iban.admits(&text), unchanged);
        }

        #[test]
        fn any_text_is_judged(text in ".{0,40}") {
            for standard in [Standard::Currency, Standard::Iban, Standard::Lei, Standard::Isin, Standard::Card] {
                standard.admits(&text);
            }
        }
    }
}
