//! Triage: given a claim and what is known of its policy, its day and its payee, who should look at it, and why.

use finance::calendar::Date;
use millstream_udf::prelude::*;

use crate::config::Triage;

/// Things remembered per policy, loss or payee, at most; the oldest makes room.
pub const REMEMBERED_MAX: usize = 16;

/// A claim as it is reported.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    pub claim_id: &'a str,
    pub policy_id: &'a str,
    pub cause: &'a str,
    /// Minor units, above 0.
    pub amount: i64,
    pub reported_on: Date,
    pub lost_on: Date,
    pub policy_begins: Date,
    pub payee: Option<&'a str>,
}

/// What is known from earlier claims.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Claims of the same policy, day of loss and cause.
    pub same_loss: Vec<(String, i64)>,
    /// Days of loss of the policy's claims, as Julian days.
    pub losses: Vec<i32>,
    /// Other policies whose claims go to the same payee.
    pub other_policies: usize,
}

/// Why a claim is worth a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    #[serde(flatten)]
    pub indicator: Indicator,
    pub points: i64,
}

/// What was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Indicator {
    LateReport { days: i64 },
    EarlyLoss { days: i64 },
    LargeAmount,
    FrequentClaims { claims: usize },
    DuplicateClaim { of_claim_id: String },
    SharedPayee { policies: usize },
}

/// The indicators of a claim with their points, the most first.
pub fn indicators(claim: &Claim<'_>, known: &Known, config: &Triage) -> Vec<Reason> {
    let days_late = (claim.reported_on - claim.lost_on).whole_days();
    let days_in = (claim.lost_on - claim.policy_begins).whole_days();
    // This year's losses, with this one: a year back and a year ahead, since claims come late.
    let lost_on = claim.lost_on.to_julian_day();
    let claims = 1 + known.losses.iter().filter(|day| (lost_on - **day).abs() < 365).count();
    let duplicate = known.same_loss.iter().find(|(_, amount)| {
        let difference = i128::from(amount.abs_diff(claim.amount)) * 100;
        difference <= i128::from(claim.amount.max(*amount)) * i128::from(config.duplicate_percent)
    });
    let policies = known.other_policies + 1;
    let noticed = [
        (days_late > config.late_report_days)
            .then_some((Indicator::LateReport { days: days_late }, config.late_report_points)),
        (days_in < config.early_loss_days)
            .then_some((Indicator::EarlyLoss { days: days_in }, config.early_loss_points)),
        (claim.amount >= config.large_minor)
            .then_some((Indicator::LargeAmount, config.large_points)),
        (claims >= config.frequent_claims)
            .then_some((Indicator::FrequentClaims { claims }, config.frequent_points)),
        duplicate.map(|(id, _)| {
            (Indicator::DuplicateClaim { of_claim_id: id.clone() }, config.duplicate_points)
        }),
        (policies >= config.shared_payee_policies)
            .then_some((Indicator::SharedPayee { policies }, config.shared_payee_points)),
    ];
    let mut reasons: Vec<Reason> = noticed
        .into_iter()
        .flatten()
        .map(|(indicator, points)| Reason { indicator, points })
        .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.points));
    reasons
}

/// Who looks at a claim with this score.
pub fn decision(score: i64, config: &Triage) -> &'static str {
    if score >= config.investigation_points {
        "investigate"
    } else if score >= config.adjuster_points {
        "adjuster"
    } else {
        "fast_track"
    }
}
