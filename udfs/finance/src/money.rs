//! Amounts of money: a whole number of minor units and their currency.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::exact::{self, Exact, ExactError};
use crate::rounding::{Rounding, divide, mul_div};

/// Why an amount cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// No such code, or one without a minor unit.
    #[error("`{0}` is no currency of ISO 4217 with a minor unit")]
    UnknownCurrency(String),
    /// Amounts of two currencies cannot be added or compared.
    #[error("an amount in {found} where {expected} is needed")]
    CurrencyMismatch {
        /// That of the amount at hand.
        expected: Currency,
        /// That of the other.
        found: Currency,
    },
    /// The result does not fit 64 bits of minor units.
    #[error("an amount in {0} is outside the range of 64 bits")]
    OutOfRange(Currency),
    /// The text is no exact amount of the currency.
    #[error("not an amount in {currency}")]
    NotAnAmount {
        /// The currency.
        currency: Currency,
        /// What is wrong with the text.
        source: ExactError,
    },
    /// A rate of exchange must be above 0.
    #[error("a rate of {0}; it must be above 0")]
    Rate(Exact),
}

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: cents of a euro, yen, thousandths of a dinar.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// So many minor units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The amount in a text like `12.30`, which may not have more digits than the minor unit, unless they are 0.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let minor = exact::parse(text, currency.digits())
            .map_err(|source| MoneyError::NotAnAmount { currency, source })?;
        Ok(Self { minor, currency })
    }

    /// The amount that is exactly `units` of 10^-`scale`, such as those of a `Decimal<4>` field of a record: 4
    /// digits hold every currency. Digits beyond the minor unit are an error unless they are 0.
    pub fn from_units(units: i64, scale: u8, currency: Currency) -> Result<Self, MoneyError> {
        let rounded = Self::rounded(units.into(), scale, currency, Rounding::Down)?;
        // In 128 bits: 64 bits times at most 10^18.
        let back = i128::from(rounded.minor) * 10_i128.pow(scale.into());
        if back != i128::from(units) * i128::from(currency.minor_per_major()) {
            let text = Exact::new(units, scale).to_string();
            let source = ExactError::TooPrecise { text, scale: currency.digits() };
            return Err(MoneyError::NotAnAmount { currency, source });
        }
        Ok(rounded)
    }

    /// As [`Self::from_units`], of a record that may say its currency: another one than the expected is an error.
    pub fn stated(
        units: i64,
        scale: u8,
        stated: Option<&str>,
        expected: Currency,
    ) -> Result<Self, MoneyError> {
        match stated.map(Currency::from_code).transpose()? {
            Some(found) if found != expected => {
                Err(MoneyError::CurrencyMismatch { expected, found })
            }
            _ => Self::from_units(units, scale, expected),
        }
    }

    /// `units` of 10^-`scale`, rounded to the minor unit.
    pub fn rounded(
        units: i128,
        scale: u8,
        currency: Currency,
        rounding: Rounding,
    ) -> Result<Self, MoneyError> {
        let minor = match scale.checked_sub(currency.digits()) {
            Some(surplus) => {
                i64::try_from(divide(units, 10_i128.pow(surplus.into()), rounding)).ok()
            }
            None => mul_div(units, 10_i128.pow((currency.digits() - scale).into()), 1, rounding),
        };
        Ok(Self { minor: minor.ok_or(MoneyError::OutOfRange(currency))?, currency })
    }

    /// The sum of two amounts of the same currency.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor);
        Ok(Self { minor: minor.ok_or(MoneyError::OutOfRange(self.currency))?, ..self })
    }

    /// The difference of two amounts of the same currency.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor);
        Ok(Self { minor: minor.ok_or(MoneyError::OutOfRange(self.currency))?, ..self })
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch { expected: self.currency, found: other.currency })
    }

    /// `self * numerator / denominator`, rounded once.
    pub fn scaled(
        self,
        numerator: i64,
        denominator: i64,
        rounding: Rounding,
    ) -> Result<Self, MoneyError> {
        let minor = mul_div(self.minor.into(), numerator.into(), denominator.into(), rounding);
        Ok(Self { minor: minor.ok_or(MoneyError::OutOfRange(self.currency))?, ..self })
    }

    /// The amount in another currency. `rate` is what one major unit of this currency is worth in major units of `to`.
    /// Rounded once, to the minor unit of `to`.
    pub fn converted(
        self,
        to: Currency,
        rate: Exact,
        rounding: Rounding,
    ) -> Result<Self, MoneyError> {
        let (numerator, denominator) = self.across(to, rate)?;
        self.times(numerator, denominator, to, rounding)
    }

    /// As [`Self::converted`], with the rate the other way round: what one major unit of `to` is worth in this currency.
    /// Dividing by it is exact where multiplying by its rounded inverse is not: Regulation (EC) No 1103/97,
    /// article 4, forbids inverse rates for that reason.
    pub fn converted_by_inverse(
        self,
        to: Currency,
        rate: Exact,
        rounding: Rounding,
    ) -> Result<Self, MoneyError> {
        if rate.units <= 0 {
            return Err(MoneyError::Rate(rate));
        }
        let numerator = 10_i128.pow(rate.scale.into()) * i128::from(to.minor_per_major());
        let denominator = i128::from(rate.units) * i128::from(self.currency.minor_per_major());
        self.times(numerator, denominator, to, rounding)
    }

    fn across(self, to: Currency, rate: Exact) -> Result<(i128, i128), MoneyError> {
        if rate.units <= 0 {
            return Err(MoneyError::Rate(rate));
        }
        let numerator = i128::from(rate.units) * i128::from(to.minor_per_major());
        let per_major = i128::from(self.currency.minor_per_major());
        Ok((numerator, per_major * 10_i128.pow(rate.scale.into())))
    }

    fn times(
        self,
        numerator: i128,
        denominator: i128,
        to: Currency,
        rounding: Rounding,
    ) -> Result<Self, MoneyError> {
        let minor = mul_div(self.minor.into(), numerator, denominator, rounding);
        Ok(Self { minor: minor.ok_or(MoneyError::OutOfRange(to))?, currency: to })
    }

    /// The nearest multiple of `increment` minor units, above 0: how cash is rounded, such as to 5 centimes (`CHF`).
    /// Panics if `increment` is not positive.
    pub fn rounded_to(self, increment: i64, rounding: Rounding) -> Result<Self, MoneyError> {
        assert!(increment > 0, "an increment is positive");
        let steps = divide(self.minor.into(), increment.into(), rounding);
        let minor = i64::try_from(steps * i128::from(increment));
        Ok(Self { minor: minor.map_err(|_| MoneyError::OutOfRange(self.currency))?, ..self })
    }

    /// The amount as a number with all digits of the minor unit, for an output.
    pub const fn exact(self) -> Exact {
        self.currency.exact(self.minor)
    }
}

/// Like `12.30 EUR`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.exact(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).expect("a code of ISO 4217")
    }

    fn money(text: &str, code: &str) -> Money {
        Money::parse(text, currency(code)).expect("an amount")
    }

    /// Council Regulation (EC) No 1103/97, articles 4 and 5, with the irrevocable rates of Regulation (EC) No 2866/98:
    /// rates of six significant figures are not rounded, amounts go to the nearest cent, a half goes up, and
    /// between two national units the way leads through the euro.
    #[test]
    fn the_euro_conversion_rules_are_followed() {
        let in_euro = |text: &str, code: &str, rate: &str| {
            let scale = rate.split_once('.').map_or(0, |(_, digits)| digits.len() as u8);
            let rate = Exact::new(exact::parse(rate, scale).expect("a rate"), scale);
            money(text, code).converted_by_inverse(currency("EUR"), rate, Rounding::HalfUp)
        };
        // Marks, lire and francs are no currencies of today; any with as many digits counts like them.
        assert_eq!(in_euro("100.00", "CHF", "1.95583"), Ok(money("51.13", "EUR")));
        assert_eq!(in_euro("1000", "JPY", "1936.27"), Ok(money("0.52", "EUR")));
        let rate = Exact::new(655_957, 5);
        let back = money("100.00", "EUR").converted(currency("CHF"), rate, Rounding::HalfUp);
        assert_eq!(back, Ok(money("655.96", "CHF")));
    }

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        assert_eq!(money("12.3", "EUR").to_string(), "12.30 EUR");
        assert_eq!(money("1200", "JPY").to_string(), "1200 JPY");
        assert_eq!(money("-0.005", "BHD").to_string(), "-0.005 BHD");
        let message = |text: &str, code: &str| {
            Money::parse(text, currency(code))
                .map_err(|e| (e.to_string(), e.source().map(ToString::to_string)))
        };
        let refused = "`1.5` has more than 0 digits behind the point";
        assert_eq!(
            message("1.5", "JPY"),
            Err(("not an amount in JPY".into(), Some(refused.into())))
        );
        assert_eq!(Money::from_units(123_000, 4, currency("EUR")), Ok(money("12.30", "EUR")));
        assert_eq!(Money::from_units(5, 0, currency("KWD")), Ok(money("5.000", "KWD")));
        let stated = |code| Money::stated(123_000, 4, code, currency("EUR"));
        assert_eq!(stated(None), Ok(money("12.30", "EUR")));
        assert_eq!(stated(Some("EUR")), Ok(money("12.30", "EUR")));
        let refused = stated(Some("USD")).map_err(|error| error.to_string());
        assert_eq!(refused, Err("an amount in USD where EUR is needed".into()));
        assert_eq!(stated(Some("EURO")), Err(MoneyError::UnknownCurrency("EURO".into())));
        let too_fine = Money::from_units(15_000, 4, currency("JPY"));
        assert!(matches!(too_fine, Err(MoneyError::NotAnAmount { .. })));
    }

    #[test]
    fn arithmetic_is_checked() {
        let (euro, yen) = (money("1", "EUR"), money("1", "JPY"));
        assert_eq!(euro.plus(money("0.50", "EUR")), Ok(money("1.50", "EUR")));
        assert_eq!(euro.minus(money("1.50", "EUR")), Ok(money("-0.50", "EUR")));
        let mismatch = euro.plus(yen).map_err(|e| e.to_string());
        assert_eq!(mismatch, Err("an amount in JPY where EUR is needed".into()));
        let all = Money::new(i64::MAX, euro.currency);
        assert_eq!(all.plus(euro), Err(MoneyError::OutOfRange(euro.currency)));
        assert_eq!(euro.scaled(1, 0, Rounding::Down), Err(MoneyError::OutOfRange(euro.currency)));
        let free = Exact::new(0, 2);
        assert_eq!(euro.converted(yen.currency, free, Rounding::Down), Err(MoneyError::Rate(free)));
    }

    /// Swiss cash: the smallest coin is 5 centimes.
    #[test]
    fn cash_is_rounded_to_coins() {
        for (exact, cash) in
            [("1.02", "1.00"), ("1.03", "1.05"), ("1.07", "1.05"), ("1.08", "1.10")]
        {
            let rounded = money(exact, "CHF").rounded_to(5, Rounding::HalfUp);
            assert_eq!(rounded, Ok(money(cash, "CHF")), "{exact}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_rate_and_its_inverse_agree(minor in -1_000_000_000_i64..1_000_000_000, rate in 1..10_000_000_i64) {
            let (euro, yen) = (currency("EUR"), currency("JPY"));
            let there = Money::new(minor, euro).converted(yen, Exact::new(rate, 4), Rounding::HalfEven).expect("it fits");
            let back = there.converted_by_inverse(euro, Exact::new(rate, 4), Rounding::HalfEven).expect("it fits");
            // Half a yen is so many cents, and the way back rounds once more.
            let tolerance = 500_000 / rate + 1;
            prop_assert!((back.minor - minor).abs() <= tolerance, "{there} {back}");
        }
    }
}
