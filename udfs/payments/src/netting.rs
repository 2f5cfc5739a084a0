//! Netting: what participants owe each other within a cycle, and what is left to settle.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

use crate::config::Netting;

/// A payment as it goes into a cycle.
pub struct Netted<'a> {
    pub route: &'a str,
    pub currency: &'a str,
    pub netting: Netting,
    pub debtor: &'a str,
    pub creditor: &'a str,
    pub amount: i64,
}

/// What was paid within a cycle, by route and currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle(BTreeMap<(String, String), Obligations>);

/// What the payments of a route and currency add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligations {
    pub payments: i64,
    pub bilateral: bool,
    /// By debtor and creditor. 128 bits hold any sum of amounts.
    gross: BTreeMap<(String, String), i128>,
}

/// What a participant gets (above 0) or pays (below).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    pub participant: String,
    pub net_minor: i128,
}

/// What one participant pays another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transfer {
    pub debtor: String,
    pub creditor: String,
    pub amount_minor: i128,
}

impl Obligations {
    /// The sum of all payments.
    pub fn gross(&self) -> i128 {
        self.gross.values().sum()
    }

    /// Each participant's position towards all others. Positions add up to 0.
    pub fn positions(&self) -> Vec<Position> {
        let mut net: BTreeMap<&str, i128> = BTreeMap::new();
        for ((debtor, creditor), amount) in &self.gross {
            *net.entry(debtor).or_default() -= amount;
            *net.entry(creditor).or_default() += amount;
        }
        let position = |(participant, net_minor): (&str, _)| Position {
            participant: participant.to_owned(),
            net_minor,
        };
        net.into_iter().map(position).collect()
    }

    /// What is left between each two participants.
    pub fn transfers(&self) -> Vec<Transfer> {
        let mut transfers = Vec::new();
        for ((debtor, creditor), amount) in &self.gross {
            let back = (creditor.clone(), debtor.clone());
            let amount_minor = amount - self.gross.get(&back).copied().unwrap_or(0);
            if amount_minor > 0 {
                let (debtor, creditor) = (debtor.clone(), creditor.clone());
                transfers.push(Transfer { debtor, creditor, amount_minor });
            }
        }
        transfers
    }

    /// What is left to be paid.
    pub fn net(&self) -> i128 {
        if self.bilateral {
            return self.transfers().iter().map(|transfer| transfer.amount_minor).sum();
        }
        self.positions().iter().map(|position| position.net_minor.max(0)).sum()
    }
}

impl Aggregate for Cycle {
    type Input<'i> = Netted<'i>;
    type Result = BTreeMap<(String, String), Obligations>;

    fn add(&mut self, payment: &Netted<'_>) {
        let route = (payment.route.to_owned(), payment.currency.to_owned());
        let obligations = self.0.entry(route).or_default();
        obligations.payments += 1;
        obligations.bilateral = payment.netting == Netting::Bilateral;
        let pair = (payment.debtor.to_owned(), payment.creditor.to_owned());
        *obligations.gross.entry(pair).or_default() += i128::from(payment.amount);
    }

    fn merge(&mut self, other: Self) {
        for (route, later) in other.0 {
            let obligations = self.0.entry(route).or_default();
            obligations.payments += later.payments;
            obligations.bilateral = later.bilateral;
            for (pair, amount) in later.gross {
                *obligations.gross.entry(pair).or_default() += amount;
            }
        }
    }

    fn result(&self) -> Self::Result {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cycle(netting: Netting, payments: &[(&str, &str, i64)]) -> Obligations {
        let mut cycle = Cycle::default();
        for (debtor, creditor, amount) in payments {
            let (route, currency) = ("r", "GBP");
            cycle.add(&Netted { route, currency, netting, debtor, creditor, amount: *amount });
        }
        cycle.result().into_values().next().unwrap_or_default()
    }

    fn positions(obligations: &Obligations) -> Vec<(String, i128)> {
        let positions = obligations.positions().into_iter();
        positions.map(|position| (position.participant, position.net_minor)).collect()
    }

    /// A. Buckley, "Multinational Finance" (1986): a British subsidiary owes a French one $6 million, which owes it $4
    /// million; $2 million are paid.
    #[test]
    fn buckleys_bilateral_netting() {
        let owed = [("UK", "France", 6_000_000), ("France", "UK", 4_000_000)];
        let obligations = cycle(Netting::Bilateral, &owed);
        let (debtor, creditor) = ("UK".to_owned(), "France".to_owned());
        assert_eq!(
            obligations.transfers(),
            [Transfer { debtor, creditor, amount_minor: 2_000_000 }]
        );
        assert_eq!((obligations.gross(), obligations.net()), (10_000_000, 2_000_000));
    }

    /// ACCA, Paper P4, June 2013, "Kenduri Co": eight obligations of a group, converted to pounds at the mid rates 1.5950
    /// (USD), 1.5700 (CAD) and 132.75 (JPY), in units of 10,000 pounds as in the published answer.
    #[test]
    fn kenduri_co_of_the_acca() {
        let pounds = |amount: i64, rate: (i64, i64)| (2 * amount * rate.1 + rate.0) / (2 * rate.0);
        let (usd, cad, jpy) = ((15_950, 10_000), (15_700, 10_000), (13_275, 100));
        let owed = [
            ("Kenduri", "Lakama", pounds(450, usd)),
            ("Kenduri", "Jaia", pounds(110, cad)),
            ("Gochiso", "Jaia", pounds(320, cad)),
            ("Gochiso", "Lakama", pounds(140, usd)),
            ("Jaia", "Lakama", pounds(150, usd)),
            ("Jaia", "Kenduri", pounds(340, cad)),
            ("Lakama", "Gochiso", pounds(32_000, jpy)),
            ("Lakama", "Kenduri", pounds(210, usd)),
        ];
        let obligations = cycle(Netting::Multilateral, &owed);
        let expected = [("Gochiso", -51), ("Jaia", -37), ("Kenduri", -3), ("Lakama", 91)];
        assert_eq!(positions(&obligations), expected.map(|(name, net)| (name.to_owned(), net)));
        assert_eq!((obligations.gross(), obligations.net()), (1_328, 91));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Netting preserves totals: positions add up to 0 and are what everyone would have got, by transfers as by payments;
        /// and never more is paid than without.
        #[test]
        fn netting_preserves_totals(payments in prop::collection::vec((0..6_usize, 0..6_usize, 1..1_000_000_i64), 1..60)) {
            let names = ["a", "b", "c", "d", "e", "f"];
            let payments: Vec<_> = payments.into_iter().filter(|(from, to, _)| from != to)
                .map(|(from, to, amount)| (names[from], names[to], amount)).collect();
            let all = cycle(Netting::Multilateral, &payments);
            let pairs = cycle(Netting::Bilateral, &payments);
            let net = positions(&all);
            prop_assert_eq!(net.iter().map(|(_, net)| net).sum::<i128>(), 0);
            prop_assert_eq!(all.gross(), payments.iter().map(|(_, _, amount)| i128::from(*amount)).sum());
            for (name, net) in &net {
                let of = |mine: bool| payments.iter().filter(|(from, to, _)| (if mine { to } else { from }) == name).map(|(_, _, amount)| i128::from(*amount)).sum::<i128>();
                prop_assert_eq!(*net, of(true) - of(false));
                let transfers = pairs.transfers();
                let of = |mine: bool| transfers.iter().filter(|t| (if mine { &t.creditor } else { &t.debtor }) == name).map(|t| t.amount_minor).sum::<i128>();
                prop_assert_eq!(*net, of(true) - of(false));
            }
            prop_assert!(all.net() <= pairs.net() && pairs.net() <= all.gross());
        }
    }
}
