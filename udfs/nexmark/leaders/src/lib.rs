//! Nexmark q5 and q7: of the records of a window, those with the most bids or the highest price, byte for byte. The key is the
//! window's end; its records have the event time at which it was complete.

use millstream_udf::prelude::*;

/// What an auction had in the window: a number of bids, or a price in cents.
#[derive(Input)]
struct Candidate<'a> {
    bids: Option<i64>,
    price: Option<i64>,
    #[field(payload)]
    payload: &'a [u8],
}

/// A record that came when the watermark had reached its event time.
#[derive(Output)]
struct Late<'a> {
    window: &'a str,
    time: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    output: Emit<Payload<'static>>,
    late: Emit<Late<'static>>,
}

/// The records with the most so far; several if they have equally much.
#[derive(Default, Serialize, Deserialize)]
struct Leaders {
    most: i64,
    payloads: Vec<Vec<u8>>,
}

/// What is kept of a window.
#[derive(States)]
struct State {
    leaders: Value<Leaders>,
}

/// The UDF.
#[derive(Default)]
struct Compare;

#[udf(name = "nexmark-leaders", version = "1.0.0", state = State, outputs = Out)]
impl Compare {
    fn process(
        &self,
        candidate: Candidate<'_>,
        state: &mut State,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let time = ctx.event_time();
        if time <= ctx.input_watermark() {
            out.late.emit(Late { window: ctx.key_text()?, time });
            return Ok(());
        }
        let Candidate { bids, price, payload } = candidate;
        let Some(amount) = bids.or(price) else { bail!("the record has neither bids nor a price") };
        if !state.leaders.is_set() {
            ctx.set_timer(Self::COMPLETE, time);
        }
        state.leaders.get_or_default().add(amount, payload);
        Ok(())
    }

    /// All records of the window have come.
    #[timer(event_time)]
    fn complete(&self, state: &mut State, out: &mut Out) {
        for payload in state.leaders.take().unwrap_or_default().payloads {
            out.output.emit(Payload(&payload));
        }
    }
}

impl Leaders {
    fn add(&mut self, amount: i64, payload: &[u8]) {
        if self.payloads.is_empty() || amount > self.most {
            self.most = amount;
            self.payloads.clear();
        }
        if amount == self.most {
            self.payloads.push(payload.into());
        }
    }
}

#[cfg(test)]
mod tests;
