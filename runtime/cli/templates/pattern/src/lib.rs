//! Finds guessed passwords: three failed logins or more, and then one that succeeds, within a minute.
//!
//! The key of a record is its user. Records are taken in the order of their event times, however they come.

use std::time::Duration;

use millstream_udf::pattern::{Found, Pattern, PatternState};
use millstream_udf::prelude::*;

/// The stage's `config` in `pipeline.yaml`.
#[derive(Deserialize)]
struct Config {
    /// So many failed logins are a guess.
    failed: u32,
    /// All of it happens within this time.
    #[serde(with = "millstream_udf::duration")]
    within: Duration,
}

/// One record. It is kept until the watermark has reached its time, so the type owns what it holds.
#[derive(Input, Serialize, Deserialize)]
struct Login {
    id: String,
    ok: bool,
}

/// What goes out for a guessed password.
#[derive(Output)]
struct Guessed<'a> {
    user: &'a str,
    /// How many logins failed.
    failed: i64,
    /// The first of them.
    first: &'a str,
    /// The login that succeeded.
    login: &'a str,
}

/// What goes out for a login that came too late to be looked at.
#[derive(Output)]
struct Late<'a> {
    user: &'a str,
    login: &'a str,
}

/// The outputs; `pipeline.yaml` says where each goes.
#[derive(Outputs)]
struct Out {
    guessed: Emit<Guessed<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a user.
#[derive(States)]
struct User {
    logins: PatternState<Login>,
}

/// The function.
struct PasswordGuessing {
    pattern: Pattern<Login>,
}

#[udf(name = "{{name}}", state = User, outputs = Out)]
impl PasswordGuessing {
    fn new(config: Config) -> Result<Self> {
        ensure!(config.failed > 0, "failed is 0, it must be 1 or more");
        let pattern = Pattern::begin("failed")
            .when(|login: &Login| !login.ok)
            .times(config.failed..)
            .consecutive()
            .greedy()
            .next("in")
            .when(|login| login.ok)
            .within(config.within)
            .build();
        Ok(PasswordGuessing { pattern })
    }

    fn process(
        &self,
        login: Login,
        user: &mut User,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if let Some(late) = user.logins.accept(login, Self::LOGINS, ctx) {
            out.late.emit(Late { user: ctx.key_text()?, login: &late.id });
        }
        Ok(())
    }

    #[timer(event_time)]
    fn logins(&self, user: &mut User, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        for found in user.logins.advance(&self.pattern, Self::LOGINS, ctx)? {
            let Found::Match(matched) = found else { continue };
            out.guessed.emit(Guessed {
                user: ctx.key_text()?,
                failed: matched.all("failed").len() as i64,
                first: &matched["failed"].id,
                login: &matched["in"].id,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
