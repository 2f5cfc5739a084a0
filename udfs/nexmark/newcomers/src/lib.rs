//! Nexmark q8: joins persons with the auctions that they open in the same window, and gives each such person once.

use std::time::Duration;

use millstream_udf::prelude::*;

/// The stage's `config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "ten_seconds")]
    window: Window,
}

fn ten_seconds() -> Window {
    Window::tumbling(Duration::from_secs(10))
}

/// Somebody registers; the person is the key.
#[derive(Clone, Input, Serialize, Deserialize)]
struct Person {
    name: String,
}

/// An auction opens; its seller is the key.
#[derive(Clone, Input, Serialize, Deserialize)]
struct Auction {
    id: i64,
}

/// A person who registered and opened an auction in the same window.
#[derive(Output)]
struct Newcomer<'a> {
    id: i64,
    name: &'a str,
    start: i64,
    end: i64,
}

/// A record that came when the watermark of its input had passed its window.
#[derive(Output)]
struct Late<'a> {
    input: &'a str,
    person: &'a str,
    time: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    newcomers: Emit<Newcomer<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a person.
#[derive(States)]
struct State {
    joined: WindowJoin<Person, Auction>,
}

/// The UDF.
struct Newcomers {
    window: Window,
}

#[udf(name = "nexmark-newcomers", version = "1.0.0", state = State, outputs = Out)]
impl Newcomers {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { window: config.window })
    }

    #[input]
    fn persons(
        &self,
        person: Person,
        state: &mut State,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        match state.joined.left(person).is_late() {
            true => late("persons", out, ctx),
            false => Ok(()),
        }
    }

    #[input]
    fn auctions(
        &self,
        auction: Auction,
        state: &mut State,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        match state.joined.right(auction).is_late() {
            true => late("auctions", out, ctx),
            false => Ok(()),
        }
    }

    #[window(joined = self.window)]
    fn joined(
        &self,
        joined: JoinedWindow<Person, Auction>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let JoinedWindow { start, end, left: persons, right: auctions, .. } = joined;
        if let Some(Person { name }) = persons.first()
            && !auctions.is_empty()
        {
            out.newcomers.emit(Newcomer { id: ctx.key_text()?.parse()?, name, start, end });
        }
        Ok(())
    }
}

fn late(input: &str, out: &mut Out, ctx: &Context<'_>) -> Result<()> {
    out.late.emit(Late { input, person: ctx.key_text()?, time: ctx.event_time() });
    Ok(())
}

#[cfg(test)]
mod tests;
