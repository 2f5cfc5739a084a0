//! The periods that reports are for: days, weeks, months, quarters and years of local time.

use finance::Calendar;
use finance::calendar::{Convention, Date, IsoDate, Month, date_of, start_ms};
use millstream_udf::prelude::*;

/// Kinds of periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Day,
    /// What happens when no business is done belongs to the next business day.
    BusinessDay,
    /// From Monday on, numbered as in ISO 8601.
    Week,
    Month,
    Quarter,
    Year,
}

/// How time is divided.
#[derive(Clone, Debug)]
pub struct Periods {
    pub kind: Kind,
    /// Local time is so far ahead of UTC, all year.
    pub utc_offset_minutes: i32,
    /// For business days.
    pub calendar: Calendar,
}

/// A period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    pub name: String,
    /// The last day.
    pub last: Date,
    /// The first moment behind it, in milliseconds since 1970 UTC.
    pub end_ms: i64,
}

impl Periods {
    /// The period that a moment belongs to; none outside the years -9999 to 9998.
    pub fn of(&self, ts: i64) -> Option<Period> {
        let date = date_of(ts, self.utc_offset_minutes)?;
        let last = match self.kind {
            Kind::Day => date,
            Kind::BusinessDay => self.calendar.adjust(date, Convention::Following)?,
            Kind::Week => {
                let monday =
                    date.to_julian_day() - i32::from(date.weekday().number_days_from_monday());
                Date::from_julian_day(monday + 6).ok()?
            }
            Kind::Month => last_of(date.year(), date.month())?,
            Kind::Quarter => last_of(date.year(), quarter_end(date.month()))?,
            Kind::Year => last_of(date.year(), Month::December)?,
        };
        self.ending(last)
    }

    /// The period whose last day this is.
    pub fn ending(&self, last: Date) -> Option<Period> {
        let name = match self.kind {
            Kind::Day | Kind::BusinessDay => IsoDate(last).to_string(),
            Kind::Week => {
                let (year, week, _) = last.to_iso_week_date();
                format!("{year:04}-W{week:02}")
            }
            Kind::Month => format!("{:04}-{:02}", last.year(), u8::from(last.month())),
            Kind::Quarter => format!("{:04}-Q{}", last.year(), u8::from(last.month()) / 3),
            Kind::Year => format!("{:04}", last.year()),
        };
        let end_ms = start_ms(last.next_day()?) - i64::from(self.utc_offset_minutes) * 60_000;
        Some(Period { name, last, end_ms })
    }
}

fn quarter_end(month: Month) -> Month {
    match month {
        Month::January | Month::February | Month::March => Month::March,
        Month::April | Month::May | Month::June => Month::June,
        Month::July | Month::August | Month::September => Month::September,
        Month::October | Month::November | Month::December => Month::December,
    }
}

fn last_of(year: i32, month: Month) -> Option<Date> {
    Date::from_calendar_date(year, month, month.length(year)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use finance::calendar::{DAY_MS, parse_date};
    use proptest::prelude::*;

    fn periods(kind: Kind, utc_offset_minutes: i32) -> Periods {
        let holidays = serde_json::from_str(r#"{"holidays": ["2026-01-01"]}"#);
        Periods { kind, utc_offset_minutes, calendar: holidays.expect("a calendar") }
    }

    fn ms(date: &str) -> i64 {
        start_ms(parse_date(date).expect("a date"))
    }

    #[test]
    fn names_and_ends() {
        let of = |kind, date: &str| {
            let period = periods(kind, 0).of(ms(date)).expect("a period");
            (period.name, IsoDate(period.last).to_string())
        };
        let pair = |name: &str, last: &str| (name.to_owned(), last.to_owned());
        assert_eq!(of(Kind::Day, "2026-02-28"), pair("2026-02-28", "2026-02-28"));
        // New Year's Day is a Thursday; a Saturday belongs to Monday.
        assert_eq!(of(Kind::BusinessDay, "2026-01-01"), pair("2026-01-02", "2026-01-02"));
        assert_eq!(of(Kind::BusinessDay, "2026-01-03"), pair("2026-01-05", "2026-01-05"));
        assert_eq!(of(Kind::Week, "2026-01-01"), pair("2026-W01", "2026-01-04"));
        assert_eq!(of(Kind::Week, "2027-01-01"), pair("2026-W53", "2027-01-03"));
        assert_eq!(of(Kind::Month, "2024-02-01"), pair("2024-02", "2024-02-29"));
        assert_eq!(of(Kind::Quarter, "2026-05-31"), pair("2026-Q2", "2026-06-30"));
        assert_eq!(of(Kind::Year, "2026-05-31"), pair("2026", "2026-12-31"));
    }

    #[test]
    fn days_are_local() {
        let new_york = periods(Kind::Day, -300);
        let evening = new_york.of(ms("2026-03-02") + 4 * 3_600_000).expect("a period");
        assert_eq!(evening.name, "2026-03-01");
        assert_eq!(evening.end_ms, ms("2026-03-02") + 5 * 3_600_000);
        assert_eq!(periods(Kind::Day, 0).of(i64::MAX), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A period holds the moment that it was asked for, and it is its end's period.
        #[test]
        fn periods_hold_their_moments(ts in 0..4_000_000_000_000_i64, offset in -720..840_i32, kind in 0..6_usize) {
            let kind = [Kind::Day, Kind::BusinessDay, Kind::Week, Kind::Month, Kind::Quarter, Kind::Year][kind];
            let periods = periods(kind, offset);
            let period = periods.of(ts).expect("a period");
            prop_assert!(ts < period.end_ms && period.end_ms - ts <= 366 * DAY_MS);
            prop_assert_eq!(&periods.of(period.end_ms - 1), &Some(period.clone()));
            prop_assert_eq!(periods.ending(period.last), Some(period.clone()));
            prop_assert_ne!(periods.of(period.end_ms).map(|next| next.name), Some(period.name));
        }
    }
}
