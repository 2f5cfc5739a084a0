//! The stage's `config`: what triage looks for, and the periods of the triangle.

use finance::Currency;
use millstream_udf::prelude::*;

/// All settings; all but the currency have a default. Money is in minor units of `currency`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    /// Months of a period of origin and of development: 1, 3, 6 or 12.
    #[serde(default = "year")]
    pub period_months: i32,
    #[serde(default)]
    pub triage: Triage,
}

fn year() -> i32 {
    12
}

/// Points for what makes a claim worth a look.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Triage {
    /// From so many points on an adjuster looks at the claim.
    pub adjuster_points: i64,
    /// From so many points on the special investigation unit does.
    pub investigation_points: i64,
    /// Reported more days than this after the loss.
    pub late_report_days: i64,
    pub late_report_points: i64,
    /// A loss fewer days than this after the policy began.
    pub early_loss_days: i64,
    pub early_loss_points: i64,
    /// A claim of this much and more.
    pub large_minor: i64,
    pub large_points: i64,
    /// So many claims of the policy within a year, with this one.
    pub frequent_claims: usize,
    pub frequent_points: i64,
    /// Another claim of the same policy, day of loss and cause, with an amount that differs by no more than this.
    pub duplicate_percent: i64,
    pub duplicate_points: i64,
    /// So many policies whose claims are paid to one account, with this one.
    pub shared_payee_policies: usize,
    pub shared_payee_points: i64,
}

impl Default for Triage {
    fn default() -> Self {
        Self {
            adjuster_points: 20,
            investigation_points: 60,
            late_report_days: 30,
            late_report_points: 15,
            early_loss_days: 14,
            early_loss_points: 25,
            large_minor: 1_000_000,
            large_points: 20,
            frequent_claims: 3,
            frequent_points: 20,
            duplicate_percent: 10,
            duplicate_points: 60,
            shared_payee_policies: 3,
            shared_payee_points: 40,
        }
    }
}

impl Config {
    /// The configuration, if its numbers make sense.
    pub fn checked(self) -> Result<Self> {
        ensure!(
            [1, 3, 6, 12].contains(&self.period_months),
            "`period_months` is {}; it must be 1, 3, 6 or 12",
            self.period_months
        );
        let t = &self.triage;
        for (name, value, least, most) in [
            ("adjuster_points", t.adjuster_points, 1, 10_000),
            ("investigation_points", t.investigation_points, t.adjuster_points, 10_000),
            ("late_report_days", t.late_report_days, 0, 36_525),
            ("late_report_points", t.late_report_points, 0, 1_000),
            ("early_loss_days", t.early_loss_days, 0, 36_525),
            ("early_loss_points", t.early_loss_points, 0, 1_000),
            ("large_minor", t.large_minor, 1, i64::MAX),
            ("large_points", t.large_points, 0, 1_000),
            ("frequent_claims", t.frequent_claims as i64, 2, 16),
            ("frequent_points", t.frequent_points, 0, 1_000),
            ("duplicate_percent", t.duplicate_percent, 0, 100),
            ("duplicate_points", t.duplicate_points, 0, 1_000),
            ("shared_payee_policies", t.shared_payee_policies as i64, 2, 16),
            ("shared_payee_points", t.shared_payee_points, 0, 1_000),
        ] {
            ensure!(
                (least..=most).contains(&value),
                "`triage.{name}` is {value}; it must be {least} to {most}"
            );
        }
        Ok(self)
    }
}
