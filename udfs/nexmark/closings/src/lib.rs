//! Nexmark q4 and q6: joins auctions with their bids, and tells when an auction closes at which price. A bid counts from the
//! auction's opening to its expiry, both included; what decides is event time, not which of them came first.

mod lot;

use millstream_udf::prelude::*;

use lot::{Listed, Lot};

/// An auction opens; it is the key.
#[derive(Input)]
struct Auction {
    seller: i64,
    category: i64,
    expires: i64,
}

/// Somebody bids; the auction is the key.
#[derive(Input)]
struct Bid {
    /// In cents.
    price: i64,
}

/// An auction has closed with a bid.
#[derive(Output)]
struct Closing {
    auction: i64,
    category: i64,
    seller: i64,
    price: i64,
}

/// A record that came when the watermark of its input had reached its event time.
#[derive(Output)]
struct Late<'a> {
    input: &'a str,
    auction: &'a str,
    time: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    closings: Emit<Closing>,
    late: Emit<Late<'static>>,
}

/// What is kept of an auction.
#[derive(States)]
struct State {
    lot: Value<Lot>,
}

/// The UDF.
#[derive(Default)]
struct Closings;

#[udf(name = "nexmark-closings", version = "1.0.0", state = State, outputs = Out)]
impl Closings {
    #[input]
    fn auctions(
        &self,
        auction: Auction,
        state: &mut State,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if is_late(ctx) {
            return late("auctions", out, ctx);
        }
        let Auction { seller, category, expires } = auction;
        let listed = Listed { opens: ctx.event_time(), expires, category, seller };
        state.lot.get_or_default().list(listed)?;
        ctx.set_timer(Self::CLOSES, expires);
        Ok(())
    }

    #[input]
    fn bids(
        &self,
        bid: Bid,
        state: &mut State,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if is_late(ctx) {
            return late("bids", out, ctx);
        }
        let time = ctx.event_time();
        if state.lot.get_or_default().bid(time, bid.price) {
            ctx.set_timer(Self::UNLISTED, time);
        }
        Ok(())
    }

    /// No bid counts any more.
    #[timer(event_time)]
    fn closes(&self, state: &mut State, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        if let Some((listed, price)) = state.lot.take().and_then(|lot| lot.closed()) {
            let Listed { category, seller, .. } = listed;
            let auction = ctx.key_text()?.parse()?;
            out.closings.emit(Closing { auction, category, seller, price });
        }
        Ok(())
    }

    /// Auctions that opened up to now have come: bids up to now that still wait for theirs have none.
    #[timer(event_time)]
    fn unlisted(&self, state: &mut State, ctx: &mut TimerContext<'_>) {
        if let Some(lot) = state.lot.get_mut()
            && !lot.drop_early(ctx.time())
        {
            state.lot.clear();
        }
    }
}

fn is_late(ctx: &Context<'_>) -> bool {
    ctx.event_time() <= ctx.input_watermark()
}

fn late(input: &str, out: &mut Out, ctx: &Context<'_>) -> Result<()> {
    out.late.emit(Late { input, auction: ctx.key_text()?, time: ctx.event_time() });
    Ok(())
}

#[cfg(test)]
mod tests;
