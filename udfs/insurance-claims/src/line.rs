//! What is kept of a line of business: its claims, what they have in common, and its triangle of payments.

use finance::calendar::Date;
use millstream_udf::prelude::*;

use crate::chain_ladder::Payments;
use crate::triage::{Claim, Known, REMEMBERED_MAX};

/// All states.
#[derive(States)]
pub struct Line {
    /// By the claim's id: the period of its loss.
    pub claims: Map<String, i32>,
    /// Claims with their amounts, by policy, day of loss and cause.
    #[state(ttl = "730d")]
    pub losses: Map<String, Vec<(String, i64)>>,
    /// Days of loss by policy, as Julian days.
    #[state(ttl = "730d")]
    pub policies: Map<String, Vec<i32>>,
    /// Policies by the account that their claims are paid to.
    #[state(ttl = "730d")]
    pub payees: Map<String, Vec<String>>,
    /// Minor units paid, by period of origin and development period.
    pub triangle: Map<(i32, u32), i64>,
}

/// The number of the period that a date is in.
pub fn period(date: Date, months: i32) -> i32 {
    (date.year() * 12 + i32::from(u8::from(date.month())) - 1).div_euclid(months)
}

/// The first month of a period, as `2026-01`.
pub fn period_name(period: i32, months: i32) -> String {
    let month = period * months;
    format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1)
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= REMEMBERED_MAX {
        list.remove(0);
    }
    list.push(item);
}

impl Line {
    /// What is known of a claim's surroundings; and the claim becomes known to later ones.
    pub fn acquaint(&mut self, claim: &Claim<'_>) -> Known {
        let mut known = Known::default();
        // No policy's id or cause holds a line break: they are checked.
        let loss = format!("{}\n{}\n{}", claim.policy_id, claim.lost_on, claim.cause);
        let mut same = self.losses.get(&loss).unwrap_or_default();
        known.same_loss = same.clone();
        push(&mut same, (claim.claim_id.to_owned(), claim.amount));
        self.losses.insert(&loss, &same);

        let mut losses = self.policies.get(claim.policy_id).unwrap_or_default();
        known.losses = losses.clone();
        push(&mut losses, claim.lost_on.to_julian_day());
        self.policies.insert(claim.policy_id, &losses);

        if let Some(payee) = claim.payee {
            let mut policies = self.payees.get(payee).unwrap_or_default();
            known.other_policies = policies.iter().filter(|id| *id != claim.policy_id).count();
            if known.other_policies == policies.len() {
                push(&mut policies, claim.policy_id.to_owned());
            }
            self.payees.insert(payee, &policies);
        }
        known
    }

    /// All payments.
    pub fn payments(&self) -> Payments {
        self.triangle.iter().map(|(cell, paid)| (cell, paid.into())).collect()
    }
}
