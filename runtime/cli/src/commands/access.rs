//! `millstream access`: who may do what.

use clap::{Args, Subcommand};
use millstream_control::access::{Grant, Role};
use millstream_control::api::access::{GrantRequest, List, Revoke, SetConsent};

use crate::actor::actor;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::{Cell, Listed, units};

/// List, grant and revoke what users may do
#[derive(Args)]
pub struct Access {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List users with their roles
    Ls,
    /// Grant a user's key exactly these roles; what it had before no longer counts
    ///
    /// The first grant closes the cluster: from then on only signed requests are answered. It must make somebody an
    /// operator for all pipelines.
    Grant {
        /// The user's public nkey (U...)
        key: String,

        /// Name of the user, for people and for the record
        #[arg(long)]
        name: String,

        /// A role: viewer, developer, approver, operator or auditor; may be repeated
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,

        /// Only for this pipeline, or for those that begin so (`card-*`); may be repeated
        #[arg(long = "pipeline", value_name = "NAME")]
        pipelines: Vec<String>,
    },
    /// Say whether changes of pipelines need the consent of an approver
    ///
    /// With `on`, `apply` and `savepoint restore` propose a change, and `millstream change approve` makes it: by another
    /// key, with the role approver.
    Consent {
        /// `on` or `off`
        #[arg(value_parser = ["on", "off"])]
        needed: String,
    },
    /// Take everything from a user
    Revoke {
        /// The user's name or public nkey
        user: String,
    },
}

impl Access {
    /// Does it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            match self.what {
                What::Ls => {
                    let listing = remote.call(&List {}).await?;
                    let nothing = "nothing is granted: everybody may do everything";
                    app.out.list(&listing.grants, nothing)?;
                    if listing.consent {
                        say("changes of pipelines need the consent of an approver");
                    }
                }
                What::Grant { key, name, roles, pipelines } => {
                    let request = GrantRequest { key, name, roles, pipelines, by: actor() };
                    let grant = remote.call(&request).await?;
                    app.out.event(&grant, &grant.name, |_| {
                        format!("{}: granted {}", grant.name, self::roles(&grant))
                    })?;
                }
                What::Consent { needed } => {
                    let needed = needed == "on";
                    remote.call(&SetConsent { needed }).await?;
                    let need = if needed { "need" } else { "do not need" };
                    say(&format!("changes of pipelines {need} the consent of an approver"));
                }
                What::Revoke { user } => {
                    remote.call(&Revoke { user: user.clone() }).await?;
                    say(&format!("{user}: revoked"));
                }
            }
            Ok(Exit::Ok)
        })
    }
}

/// Roles with commas between them.
pub fn roles(grant: &Grant) -> String {
    let names: Vec<&str> = grant.roles.iter().map(|role| role.name()).collect();
    names.join(", ")
}

impl Listed for Grant {
    const COLUMNS: &'static [&'static str] = &["NAME", "ROLES", "PIPELINES", "KEY"];
    const WIDE: &'static [&'static str] = &["GRANTED", "BY"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<Cell> {
        let pipelines = match self.pipelines.is_empty() {
            true => "all".to_owned(),
            false => self.pipelines.join(", "),
        };
        vec![
            Cell::text(&self.name),
            Cell::text(roles(self)),
            Cell::text(pipelines),
            Cell::text(self.key.as_str()),
            Cell::text(units::time(self.granted_at_ms)),
            Cell::text(&self.granted_by),
        ]
    }
}
