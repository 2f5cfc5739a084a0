//! The way that money has gone: transfers, each from the account where the one before ended.

use millstream_udf::prelude::*;

/// A transfer, as a part of a way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    pub txn_id: String,
    /// Where the money went.
    pub creditor: String,
    pub amount_minor: i64,
    pub ts: i64,
}

/// A way with at least one leg. It begins and ends at different accounts and touches none twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Where the money came from at first.
    pub debtor: String,
    pub legs: Vec<Leg>,
}

/// What a further transfer makes of a way.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The money is back where it began.
    Closed(Path),
    /// It has gone on to an account that it had not touched.
    Longer(Path),
}

impl Path {
    /// When the first transfer was made; `None` without legs.
    pub fn began_ms(&self) -> Option<i64> {
        self.legs.first().map(|leg| leg.ts)
    }

    /// What was sent at first, in minor units; `None` without legs.
    pub fn first_minor(&self) -> Option<i64> {
        self.legs.first().map(|leg| leg.amount_minor)
    }

    /// The accounts in their order, from where the money came.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        let touched = self.legs.iter().map(|leg| leg.creditor.as_str());
        std::iter::once(self.debtor.as_str()).chain(touched)
    }

    /// The way with one more transfer, from the account where it ends. `None` if that goes to an account which the way had come
    /// by: such a circle begins there, and is found from there.
    pub fn then(mut self, leg: Leg) -> Option<Next> {
        let closes = leg.creditor == self.debtor;
        if !closes && self.legs.iter().any(|passed| passed.creditor == leg.creditor) {
            return None;
        }
        self.legs.push(leg);
        Some(if closes { Next::Closed(self) } else { Next::Longer(self) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(creditor: &str, ts: i64) -> Leg {
        Leg { txn_id: format!("t{ts}"), creditor: creditor.into(), amount_minor: 100, ts }
    }

    #[test]
    fn a_way_grows_closes_or_crosses_itself() {
        let path = Path { debtor: "a".into(), legs: vec![leg("b", 1), leg("c", 2)] };
        assert_eq!(path.clone().then(leg("b", 3)), None);
        let Some(Next::Longer(longer)) = path.clone().then(leg("d", 3)) else {
            panic!("it is longer")
        };
        assert_eq!(longer.accounts().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        let Some(Next::Closed(closed)) = longer.then(leg("a", 4)) else { panic!("it is closed") };
        assert_eq!(closed.accounts().collect::<Vec<_>>(), ["a", "b", "c", "d", "a"]);
        assert_eq!((closed.began_ms(), closed.first_minor()), (Some(1), Some(100)));
    }
}
