//! `millstream completion`: completions for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;

/// Print completions for a shell
///
/// bash: millstream completion bash > ~/.local/share/bash-completion/completions/millstream
/// zsh:  millstream completion zsh > "${fpath[1]}/_millstream"
/// fish: millstream completion fish > ~/.config/fish/completions/millstream.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// Writes the script to stdout.
    pub fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "millstream", &mut script);
        crate::output::format::write_all(&script)?;
        Ok(Exit::Ok)
    }
}
