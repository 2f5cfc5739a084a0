//! Business calendars: weekends and holidays given as configuration, the conventions that move a date to a business day, and
//! counting in business days.

use std::collections::BTreeSet;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
pub use time::{Date, Month, Weekday};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// The Julian day of 1 January 1970.
const EPOCH: i64 = 2_440_588;

/// Calendars are searched so many days far for a business day: no holiday lasts longer.
const SEARCH_DAYS_MAX: u32 = 366;

/// The date of a moment in milliseconds since 1970 UTC, at a place that is `offset_minutes` ahead of UTC; `None` outside the
/// years -9999 to 9999.
pub fn date_of(ms: i64, offset_minutes: i32) -> Option<Date> {
    let local = ms.checked_add(i64::from(offset_minutes) * 60_000)?;
    let julian = local.div_euclid(DAY_MS).checked_add(EPOCH)?;
    Date::from_julian_day(i32::try_from(julian).ok()?).ok()
}

/// The moment at which a date begins in UTC, in milliseconds since 1970.
pub fn start_ms(date: Date) -> i64 {
    (i64::from(date.to_julian_day()) - EPOCH) * DAY_MS
}

/// The date written as `2026-12-25` (ISO 8601).
pub fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let mut number = |digits: usize| {
        let part = parts.next()?;
        let right = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        right.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok()
}

/// A date in a configuration or in an output, as `2026-12-25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IsoDate(pub Date);

impl<'d> Deserialize<'d> for IsoDate {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let date = parse_date(&text);
        date.map(Self)
            .ok_or_else(|| de::Error::custom(format_args!("`{text}` is no date like 2026-12-25")))
    }
}

impl std::fmt::Display for IsoDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(date) = self;
        write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

impl Serialize for IsoDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a date goes that is no business day: the conventions of the 2006 ISDA Definitions, section 4.12.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// To the next business day.
    #[default]
    Following,
    /// To the next one, unless that is in another month: then to the one before.
    ModifiedFollowing,
    /// To the business day before.
    Preceding,
}

/// Which days are business days. In a configuration:
/// `{ weekend: [saturday, sunday], holidays: ["2026-12-25"] }`, both optional.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "Written")]
pub struct Calendar {
    weekend: BTreeSet<u8>,
    holidays: BTreeSet<Date>,
}

/// As in a configuration.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    weekend: Vec<Day>,
    holidays: Vec<IsoDate>,
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Default for Written {
    fn default() -> Self {
        Self { weekend: vec![Day::Saturday, Day::Sunday], holidays: Vec::new() }
    }
}

impl From<Written> for Calendar {
    fn from(written: Written) -> Self {
        Self {
            weekend: written.weekend.iter().map(|day| *day as u8).collect(),
            holidays: written.holidays.iter().map(|holiday| holiday.0).collect(),
        }
    }
}

/// Saturday and Sunday, no holidays.
impl Default for Calendar {
    fn default() -> Self {
        Written::default().into()
    }
}

impl Calendar {
    /// Whether business is done on this date.
    pub fn is_business_day(&self, date: Date) -> bool {
        !self.weekend.contains(&date.weekday().number_days_from_monday())
            && !self.holidays.contains(&date)
    }

    /// The calendar of days that are business days in both: for a payment that two places take part in.
    pub fn joined(&self, other: &Self) -> Self {
        Self { weekend: &self.weekend | &other.weekend, holidays: &self.holidays | &other.holidays }
    }

    /// The date, or the business day that the convention moves it to; `None` if there is none within a year.
    pub fn adjust(&self, date: Date, convention: Convention) -> Option<Date> {
        match convention {
            Convention::Following => self.nearest(date, Date::next_day),
            Convention::Preceding => self.nearest(date, Date::previous_day),
            Convention::ModifiedFollowing => {
                let following = self.nearest(date, Date::next_day)?;
                if following.month() == date.month() {
                    return Some(following);
                }
                self.nearest(date, Date::previous_day)
            }
        }
    }

    /// The date `days` business days later, or earlier if negative; for 0 the next business day from `date` on.
    /// `None` if there is none within a year of the one before.
    pub fn add_business_days(&self, date: Date, days: i32) -> Option<Date> {
        if days == 0 {
            return self.adjust(date, Convention::Following);
        }
        let step = if days > 0 { Date::next_day } else { Date::previous_day };
        (0..days.unsigned_abs()).try_fold(date, |date, _| self.nearest(step(date)?, step))
    }

    /// Business days from `from` (counted) to `to` (not counted); 0 if `to` is not later.
    pub fn business_days_between(&self, from: Date, to: Date) -> u32 {
        let mut days = 0;
        let mut date = from;
        while date < to {
            days += u32::from(self.is_business_day(date));
            let Some(next) = date.next_day() else { break };
            date = next;
        }
        days
    }

    fn nearest(&self, date: Date, step: fn(Date) -> Option<Date>) -> Option<Date> {
        let mut date = date;
        for _ in 0..SEARCH_DAYS_MAX {
            if self.is_business_day(date) {
                return Some(date);
            }
            date = step(date)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        parse_date(text).expect("a date")
    }

    /// The closing days of TARGET in 2026, as the European Central Bank lists them: New Year's Day, Good Friday, Easter
    /// Monday, 1 May, 25 and 26 December.
    fn target() -> Calendar {
        let text = r#"{"holidays": ["2026-01-01", "2026-04-03", "2026-04-06", "2026-05-01", "2026-12-25", "2026-12-26"]}"#;
        serde_json::from_str(text).expect("a calendar")
    }

    #[test]
    fn dates_are_read_and_shown() {
        assert_eq!(IsoDate(date("2026-02-28")).to_string(), "2026-02-28");
        for bad in
            ["2026-02-29", "2026-13-01", "26-01-01", "2026-1-1", "2026-01-01-", "+026-01-01", ""]
        {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        assert_eq!(date_of(0, 0), Some(date("1970-01-01")));
        assert_eq!(date_of(-1, 0), Some(date("1969-12-31")));
        assert_eq!(date_of(1_700_000_000_000, 0), Some(date("2023-11-14")));
        assert_eq!(date_of(1_700_000_000_000, 120), Some(date("2023-11-15")));
        assert_eq!(date_of(i64::MAX, 1), None);
        assert_eq!(start_ms(date("2023-11-14")), 1_699_920_000_000);
    }

    /// 2006 ISDA Definitions, section 4.12: what each convention does to a date that is no good business day.
    #[test]
    fn conventions_move_dates_as_isda_defines_them() {
        let adjust = |text: &str, convention| target().adjust(date(text), convention);
        // The 31st of May is a Sunday: the next business day is in another month.
        assert_eq!(adjust("2026-05-31", Convention::Following), Some(date("2026-06-01")));
        assert_eq!(adjust("2026-05-31", Convention::ModifiedFollowing), Some(date("2026-05-29")));
        assert_eq!(adjust("2026-05-31", Convention::Preceding), Some(date("2026-05-29")));
        assert_eq!(adjust("2026-05-30", Convention::Preceding), Some(date("2026-05-29")));
        assert_eq!(adjust("2026-04-03", Convention::ModifiedFollowing), Some(date("2026-04-07")));
        assert_eq!(adjust("2026-04-02", Convention::Following), Some(date("2026-04-02")));
    }

    #[test]
    fn business_days_are_counted_over_easter() {
        let calendar = target();
        assert_eq!(calendar.add_business_days(date("2026-04-01"), 2), Some(date("2026-04-07")));
        assert_eq!(calendar.add_business_days(date("2026-04-07"), -2), Some(date("2026-04-01")));
        assert_eq!(calendar.add_business_days(date("2026-04-04"), 0), Some(date("2026-04-07")));
        assert_eq!(calendar.business_days_between(date("2026-04-01"), date("2026-04-08")), 3);
    }

    #[test]
    fn two_places_do_business_when_both_do() {
        let gulf: Calendar =
            serde_json::from_str(r#"{"weekend": ["friday", "saturday"]}"#).expect("a calendar");
        let both = gulf.joined(&target());
        assert_eq!(
            both.adjust(date("2026-01-01"), Convention::Following),
            Some(date("2026-01-05"))
        );
        let never: Calendar = serde_json::from_str(
            r#"{"weekend": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]}"#,
        )
        .expect("a calendar");
        assert_eq!(never.adjust(date("2026-01-01"), Convention::Following), None);
        assert!(serde_json::from_str::<Calendar>(r#"{"holidays": ["2026-02-30"]}"#).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn there_and_back_is_where_one_was(day in 0..365_i32, steps in 1..60_i32) {
            let calendar = target();
            let from = calendar.adjust(Date::from_julian_day(date("2026-01-01").to_julian_day() + day).expect("a date"), Convention::Following).expect("a business day");
            let there = calendar.add_business_days(from, steps).expect("a business day");
            prop_assert!(calendar.is_business_day(there));
            prop_assert_eq!(calendar.business_days_between(from, there), steps.unsigned_abs());
            prop_assert_eq!(calendar.add_business_days(there, -steps), Some(from));
        }
    }
}
