//! Nexmark q4 and q6: averages of the prices at which auctions have closed, by category or by seller. The order is that of closing, and
//! of the auctions' ids where that is equal, however the records come among each other.

mod closed;

use millstream_udf::prelude::*;

use closed::{Category, Due, Seller};

/// The stage's `config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    of: Of,
}

/// What the key is, and so which prices are averaged.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    /// All prices so far, behind each time at which auctions closed.
    Category,
    /// The last ten prices, with each auction.
    Seller,
}

/// An auction that has closed; event time is when.
#[derive(Input)]
struct Closing {
    auction: i64,
    /// In cents.
    price: i64,
}

/// The average price of a category's auctions that have closed up to a time.
#[derive(Output)]
struct CategoryAverage {
    category: i64,
    auctions: i64,
    average: i64,
    time: i64,
}

/// The average price of a seller's auction and those before it.
#[derive(Output)]
struct SellerAverage {
    seller: i64,
    auction: i64,
    average: i64,
    time: i64,
}

/// A record that came when the watermark had reached its event time.
#[derive(Output)]
struct Late {
    auction: i64,
    time: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    categories: Emit<CategoryAverage>,
    sellers: Emit<SellerAverage>,
    late: Emit<Late>,
}

/// What is kept of a category or a seller.
#[derive(States)]
struct State {
    category: Value<Category>,
    seller: Value<Seller>,
}

/// The UDF.
struct Averages {
    of: Of,
}

#[udf(name = "nexmark-averages", version = "1.0.0", state = State, outputs = Out)]
impl Averages {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { of: config.of })
    }

    fn process(&self, closing: Closing, state: &mut State, out: &mut Out, ctx: &mut Context<'_>) {
        let (Closing { auction, price }, time) = (closing, ctx.event_time());
        if time <= ctx.input_watermark() {
            out.late.emit(Late { auction, time });
            return;
        }
        let waiting = match self.of {
            Of::Category => &mut state.category.get_or_default().waiting,
            Of::Seller => &mut state.seller.get_or_default().waiting,
        };
        waiting.push(Due { time, auction, price });
        ctx.set_timer(Self::AVERAGE, time);
    }

    /// All auctions that closed at this time have come.
    #[timer(event_time)]
    fn average(&self, state: &mut State, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        let (key, time) = (ctx.key_text()?.parse()?, ctx.time());
        match self.of {
            Of::Category => {
                let (auctions, average) = state.category.get_or_default().average(time);
                out.categories.emit(CategoryAverage { category: key, auctions, average, time });
            }
            Of::Seller => {
                for (auction, average) in state.seller.get_or_default().averages(time) {
                    out.sellers.emit(SellerAverage { seller: key, auction, average, time });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
