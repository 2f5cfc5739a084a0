//! Codes and minor units of ISO 4217, list one (current currencies and funds).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::exact::Exact;
use crate::money::MoneyError;

/// Currencies whose minor unit is not a hundredth, with the digits of their minor unit.
const OTHER_DIGITS: [(&str, u8); 26] = [
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// Currencies whose minor unit is a hundredth. Codes without a minor unit (metals, `XDR` and such) are in neither
/// list. `BGN` was replaced by the euro on 1 January 2026 and stays, for what is booked in it.
const HUNDREDTHS: &str = "\
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW \
CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR \
ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV \
MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD \
SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";

/// A currency of ISO 4217 that has a minor unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 3],
    digits: u8,
}

impl Currency {
    /// The euro.
    pub const EUR: Self = Self { code: *b"EUR", digits: 2 };

    /// The currency with this alphabetic code, such as `EUR`.
    pub fn from_code(code: &str) -> Result<Self, MoneyError> {
        let digits =
            OTHER_DIGITS.iter().find(|(other, _)| *other == code).map(|(_, digits)| *digits);
        let hundredths = || HUNDREDTHS.split(' ').any(|other| other == code).then_some(2);
        let unknown = || MoneyError::UnknownCurrency(code.to_owned());
        let digits = digits.or_else(hundredths).ok_or_else(unknown)?;
        let code = code.as_bytes().try_into().map_err(|_| unknown())?;
        Ok(Self { code, digits })
    }

    /// The alphabetic code.
    pub fn code(&self) -> &str {
        // Made of the lists above, which are ASCII.
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// Digits of the minor unit behind the point: 2 for `EUR`, 0 for `JPY`, 3 for `BHD`.
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// Minor units of one major unit: 100 for `EUR`.
    pub const fn minor_per_major(&self) -> i64 {
        10_i64.pow(self.digits as u32)
    }

    /// The minor units as a number with all digits of the minor unit.
    pub const fn exact(&self, minor: i64) -> Exact {
        Exact::new(minor, self.digits)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// As its code.
impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'d> Deserialize<'d> for Currency {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        struct Code;

        impl serde::de::Visitor<'_> for Code {
            type Value = Currency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a currency code of ISO 4217")
            }

            fn visit_str<E: serde::de::Error>(self, code: &str) -> Result<Currency, E> {
                Currency::from_code(code).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Code).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_are_those_of_iso_4217() {
        let digits = |code: &str| Currency::from_code(code).expect("a code").digits();
        let codes = ["EUR", "USD", "JPY", "KRW", "BHD", "KWD", "CLF", "CLP", "MGA", "HUF"];
        assert_eq!(codes.map(digits), [2, 2, 0, 0, 3, 3, 4, 0, 2, 2]);
        assert_eq!(Currency::from_code("EUR"), Ok(Currency::EUR));
        for code in ["", "eur", "EU", "EURO", "XAU", "XTS", "E\u{20ac}", "USD EUR"] {
            let unknown = Currency::from_code(code).expect_err("no such currency");
            assert_eq!(unknown, MoneyError::UnknownCurrency(code.into()));
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<&str> = HUNDREDTHS.split(' ').collect();
        codes.extend(OTHER_DIGITS.iter().map(|(code, _)| *code));
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(codes.iter().all(|code| code.len() == 3));
    }

    #[test]
    fn a_currency_is_its_code_in_serde() {
        let yen: Currency = serde_json::from_str("\"JPY\"").expect("a code");
        assert_eq!(serde_json::to_string(&yen).expect("JSON"), "\"JPY\"");
        let error =
            serde_json::from_str::<Currency>("\"XAU\"").expect_err("gold has no minor unit");
        assert!(
            error.to_string().contains("`XAU` is no currency of ISO 4217 with a minor unit"),
            "{error}"
        );
    }
}
