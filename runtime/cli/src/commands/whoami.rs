//! `millstream whoami`: which key signs, and what is granted to it.

use clap::Args;
use millstream_control::api::access::WhoAmI as Request;

use super::access::roles;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Tone};

/// Show which key signs your requests, and what is granted to it
#[derive(Args)]
pub struct WhoAmI {}

impl WhoAmI {
    /// Prints it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let me = block_on(async { Remote::connect(app).await?.call(&Request::default()).await })?;
        let name = me.grant.as_ref().map(|grant| grant.name.clone());
        app.out.one(&me, name.as_deref().unwrap_or("-"), || {
            let granted = me.grant.as_ref();
            let all = || match granted {
                Some(grant) if grant.pipelines.is_empty() => Some("all".to_owned()),
                Some(grant) => Some(grant.pipelines.join(", ")),
                None => None,
            };
            let mut pairs = vec![
                ("key".to_owned(), Cell::optional(me.key.as_ref())),
                ("name".to_owned(), Cell::optional(name.as_ref())),
                ("roles".to_owned(), Cell::optional(granted.map(roles))),
                ("pipelines".to_owned(), Cell::optional(all())),
            ];
            if me.open {
                let text = "open: nothing is granted, everybody may do everything";
                pairs.push(("cluster".to_owned(), Cell::toned(text, Tone::Warn)));
            }
            pairs
        })?;
        Ok(Exit::Ok)
    }
}
