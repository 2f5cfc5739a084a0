//! `millstream info`: which runtime answers.

use std::time::Duration;

use clap::Args;
use millstream_control::api::node;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, units};

/// Show which runtime answers, and the versions of both ends
#[derive(Args)]
pub struct Info {}

impl Info {
    /// Prints it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let node = block_on(async { Remote::connect(app).await?.call(&node::Info {}).await })?;
        app.out.one(&node, &node.node, || {
            vec![
                ("node".to_owned(), Cell::text(&node.node)),
                ("runtime".to_owned(), Cell::text(&node.version)),
                ("this command".to_owned(), Cell::text(env!("CARGO_PKG_VERSION"))),
                ("nats-server".to_owned(), Cell::text(&node.server_version)),
                (
                    "up".to_owned(),
                    Cell::text(units::duration(Duration::from_millis(node.uptime_ms))),
                ),
                ("incarnation".to_owned(), Cell::text(&node.incarnation)),
                ("pipelines".to_owned(), Cell::text(units::count(node.pipelines as u64))),
                ("modules".to_owned(), Cell::text(units::count(node.modules as u64))),
                ("largest module".to_owned(), Cell::text(units::bytes(node.module_size_max))),
            ]
        })?;
        Ok(Exit::Ok)
    }
}
