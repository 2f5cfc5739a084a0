//! Nexmark q5, q7 and q11: the bids of an auction or a bidder by windows of event time, counted or the highest.

mod held;

use std::time::Duration;

use millstream_udf::prelude::*;

use held::{Bids, Placed};

/// The stage's `config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    give: Give,
    #[serde(default = "ten_seconds")]
    window: Window,
}

fn ten_seconds() -> Window {
    Window::tumbling(Duration::from_secs(10))
}

/// What is given of a window.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Give {
    /// How many bids an auction had.
    Counts,
    /// The bids of an auction with the highest price.
    Highest,
    /// How many bids a bidder made.
    Sessions,
}

/// Somebody bids.
#[derive(Input)]
struct Bid {
    bidder: i64,
    /// In cents.
    price: i64,
}

/// How many bids an auction had in a window.
#[derive(Output)]
struct Count {
    auction: i64,
    bids: i64,
    start: i64,
    end: i64,
}

/// A bid with the highest price of its auction in a window.
#[derive(Output)]
struct Highest {
    auction: i64,
    bidder: i64,
    price: i64,
    time: i64,
    start: i64,
    end: i64,
}

/// How many bids somebody made in a window.
#[derive(Output)]
struct Session {
    bidder: i64,
    bids: i64,
    start: i64,
    end: i64,
}

/// A bid that came too late for its windows.
#[derive(Output)]
struct Late<'a> {
    key: &'a str,
    time: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    counts: Emit<Count>,
    highest: Emit<Highest>,
    sessions: Emit<Session>,
    late: Emit<Late<'static>>,
}

/// What is kept of an auction or a bidder.
#[derive(States)]
struct State {
    windows: Windows<Bids>,
}

/// The UDF.
struct BidWindows {
    config: Config,
}

#[udf(name = "nexmark-bids", version = "1.0.0", state = State, outputs = Out)]
impl BidWindows {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config })
    }

    fn process(
        &self,
        bid: Bid,
        state: &mut State,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let (Bid { bidder, price }, time) = (bid, ctx.event_time());
        let placed = (self.config.give == Give::Highest).then_some(Placed { price, bidder, time });
        if state.windows.add(&placed).is_late() {
            out.late.emit(Late { key: ctx.key_text()?, time });
        }
        Ok(())
    }

    #[window(windows = self.config.window)]
    fn window(&self, window: Fired<Bids>, out: &mut Out, ctx: &FiredContext<'_>) -> Result<()> {
        let Fired { start, end, result: Bids { count: bids, highest }, .. } = window;
        let key = ctx.key_text()?.parse()?;
        match self.config.give {
            Give::Counts => out.counts.emit(Count { auction: key, bids, start, end }),
            Give::Sessions => out.sessions.emit(Session { bidder: key, bids, start, end }),
            Give::Highest => {
                for (bidder, time) in highest.items {
                    let price = highest.price;
                    out.highest.emit(Highest { auction: key, bidder, price, time, start, end });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
