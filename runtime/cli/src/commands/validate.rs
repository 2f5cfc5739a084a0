//! `millstream validate`: is a manifest right?

use std::path::PathBuf;

use clap::Args;
use millstream_control::api::pipelines::Validate as Request;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifest::{self, Loaded};
use crate::output::format::say;

/// Check manifests and the module files they name; nothing is changed
///
/// Without `--online` no server is needed: the manifest is checked by itself and against modules that are
/// named by file.
#[derive(Args)]
pub struct Validate {
    /// The manifest; `-` is standard input; may be given several times
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Also ask the runtime: modules of the registry, and the pipeline of that name if there is one
    #[arg(long)]
    online: bool,
}

impl Validate {
    /// Checks all manifests; says what is wrong with the first that is not right.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let loaded: Vec<_> =
            self.files.iter().map(|file| manifest::load(file)).collect::<Result<_, _>>()?;
        for one in &loaded {
            offline(one)?;
        }
        if self.online {
            block_on(online(app, &loaded))?;
        }
        for one in &loaded {
            match app.out.is_for_people() {
                true => say(&format!("{}: valid", one.document.file)),
                false => app.out.line(&one.document.manifest.name)?,
            }
        }
        Ok(Exit::Ok)
    }
}

fn offline(loaded: &Loaded) -> Result<(), Failure> {
    loaded.check()?;
    let unseen = loaded.registry_stages();
    if !unseen.is_empty() {
        say(&format!(
            "{}: modules of the registry are not looked at without --online (stages: {})",
            loaded.document.file,
            unseen.join(", ")
        ));
    }
    Ok(())
}

async fn online(app: &App, loaded: &[Loaded]) -> Result<(), Failure> {
    let remote = Remote::connect(app).await?;
    for one in loaded {
        let manifest = one.upload(&remote).await?;
        one.ask(&remote, &Request { manifest }).await?;
    }
    Ok(())
}
