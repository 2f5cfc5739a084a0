//! The commands, one file each. A command takes its own options as a clap struct, has the global ones in
//! [`App`], and returns how it ended. `lifecycle` is what several of them share: waiting for a change; `watch` is
//! the larger part of `dev --watch`.

mod access;
mod apply;
mod audit;
mod build;
mod can_i;
mod change;
mod checkpoint;
mod compile_module;
mod completion;
mod delete;
mod describe;
mod dev;
mod diff;
mod dlq;
mod doctor;
mod explain;
mod get;
mod info;
mod lag;
mod lifecycle;
mod logs;
mod module;
mod new;
mod node;
mod pause;
mod publish;
mod rescale;
mod resume;
mod run;
mod savepoint;
mod schema;
mod state;
mod stop;
mod tail;
mod test;
mod validate;
mod watch;
mod whoami;

use clap::Subcommand;

use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;

/// The commands, in the order of `--help`.
#[derive(Subcommand)]
pub enum Command {
    Dev(dev::Dev),
    Run(run::Run),
    New(new::New),
    Build(build::Build),
    Test(test::Test),
    Validate(validate::Validate),
    Schema(schema::Schema),
    Apply(apply::Apply),
    Diff(diff::Diff),
    Get(get::Get),
    Describe(describe::Describe),
    Delete(delete::Delete),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Stop(stop::Stop),
    Logs(logs::Logs),
    Tail(tail::Tail),
    Publish(publish::Publish),
    Lag(lag::Lag),
    State(state::State),
    Dlq(dlq::Dlq),
    Checkpoint(checkpoint::Checkpoint),
    Savepoint(savepoint::Savepoint),
    Rescale(rescale::Rescale),
    Module(module::Module),
    Node(node::Node),
    Access(access::Access),
    Change(change::Change),
    #[command(name = "whoami")]
    WhoAmI(whoami::WhoAmI),
    CanI(can_i::CanI),
    Audit(audit::Audit),
    Info(info::Info),
    Doctor(doctor::Doctor),
    Explain(explain::Explain),
    Completion(completion::Completion),
    #[command(name = crate::compile::COMMAND, hide = true)]
    CompileModule(compile_module::CompileModule),
}

impl Command {
    /// Runs it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        match self {
            Command::Dev(command) => command.run(app),
            Command::Run(command) => command.run(app),
            Command::New(command) => command.run(app),
            Command::Build(command) => command.run(app),
            Command::Test(command) => command.run(app),
            Command::Validate(command) => command.run(app),
            Command::Schema(command) => command.run(app),
            Command::Apply(command) => command.run(app),
            Command::Diff(command) => command.run(app),
            Command::Get(command) => command.run(app),
            Command::Describe(command) => command.run(app),
            Command::Delete(command) => command.run(app),
            Command::Pause(command) => command.run(app),
            Command::Resume(command) => command.run(app),
            Command::Stop(command) => command.run(app),
            Command::Logs(command) => command.run(app),
            Command::Tail(command) => command.run(app),
            Command::Publish(command) => command.run(app),
            Command::Lag(command) => command.run(app),
            Command::State(command) => command.run(app),
            Command::Dlq(command) => command.run(app),
            Command::Checkpoint(command) => command.run(app),
            Command::Savepoint(command) => command.run(app),
            Command::Rescale(command) => command.run(app),
            Command::Module(command) => command.run(app),
            Command::Node(command) => command.run(app),
            Command::Access(command) => command.run(app),
            Command::Change(command) => command.run(app),
            Command::WhoAmI(command) => command.run(app),
            Command::CanI(command) => command.run(app),
            Command::Audit(command) => command.run(app),
            Command::Info(command) => command.run(app),
            Command::Doctor(command) => command.run(app),
            Command::Explain(command) => command.run(app),
            Command::Completion(command) => command.run(),
            Command::CompileModule(command) => command.run(),
        }
    }
}
