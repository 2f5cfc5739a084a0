//! An auction and the highest bid of its life.

use millstream_udf::prelude::*;

/// What is kept of an auction until it closes.
#[derive(Default, Serialize, Deserialize)]
pub struct Lot {
    listed: Option<Listed>,
    /// The highest price so far.
    best: Option<i64>,
    /// Times and prices of bids that came before their auction: sources are read one ahead of the other.
    early: Vec<(i64, i64)>,
}

/// An auction as it was opened.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Listed {
    pub opens: i64,
    /// The last millisecond in which a bid counts.
    pub expires: i64,
    pub category: i64,
    pub seller: i64,
}

impl Lot {
    /// The auction opens. Refused if it had already.
    pub fn list(&mut self, listed: Listed) -> Result<()> {
        let Listed { opens, expires, .. } = listed;
        ensure!(self.listed.is_none(), "the auction was opened before");
        ensure!(opens <= expires, "the auction opens at {opens} and expires at {expires}");
        self.listed = Some(listed);
        for (time, price) in std::mem::take(&mut self.early) {
            self.consider(listed, time, price);
        }
        Ok(())
    }

    /// Somebody bids. Whether the bid waits for its auction.
    pub fn bid(&mut self, time: i64, price: i64) -> bool {
        match self.listed {
            Some(listed) => self.consider(listed, time, price),
            None => self.early.push((time, price)),
        }
        self.listed.is_none()
    }

    fn consider(&mut self, listed: Listed, time: i64, price: i64) {
        if (listed.opens..=listed.expires).contains(&time) {
            self.best = self.best.max(Some(price));
        }
    }

    /// The auction with its highest price, if it was opened and a bid counted.
    pub fn closed(&self) -> Option<(Listed, i64)> {
        self.listed.zip(self.best)
    }

    /// No auction opens up to this time any more: drops the bids up to it that wait for one. Whether anything is left to keep.
    pub fn drop_early(&mut self, through: i64) -> bool {
        self.early.retain(|(time, _)| *time > through);
        self.listed.is_some() || !self.early.is_empty()
    }
}
