//! The binary from the outside: what it prints, where, and how it exits. One integration binary.
//!
//! - `usage`: help texts, exit codes of wrong command lines, completions, codes.
//! - `manifests`: `validate` and `schema`.
//! - `unreachable`: what commands say when there is no server.
//! - `new`: a project from a template; `projects`: those of all templates, from `new` to a changed expectation.
//! - `tutorial`: runs docs/tutorial.md; `fences` takes its blocks out, here and in the binary's own tests.
//! - `access`: signed requests, roles, and the audit trail with its export.
//! - `consent`: changes that an approver must consent to.
//! - `dead_letters`: the commands of `dlq`.
//! - `dev`: a server and a runtime in one process, and the commands that talk to it.
//! - `run`: the runtime as a process of its own: killed, scraped, asked whether it is ready.
//! - `deploy`: the files for operators in `deploy`.
//! - `savepoints`: savepoints, rescaling, and checkpoints that are read back.
//! - `cluster`: several runtimes: restarted one after the other, killed, paused, drained, under load.
//! - `starts`: where a new pipeline begins, through nodes that die before their first commit.
//! - `queues`: pipelines on streams that only one consumer may read.
//! - `hostile`: modules that are costly to compile; `neighbours`: all the hostile ones beside a good pipeline.
//! - `inside`: what commands show of a running pipeline, and what its deletion leaves.
//! - `local`: `run --local` on the examples; `no_code`: on those without code.

mod access;
mod accounts;
mod chains;
mod cluster;
mod consent;
mod dead_letters;
mod deploy;
mod dev;
#[path = "../../src/docs/fences.rs"]
mod fences;
mod hostile;
mod inside;
mod local;
mod manifests;
mod millstream;
mod neighbours;
mod new;
mod no_code;
mod projects;
mod queues;
mod run;
mod savepoints;
mod served;
mod starts;
mod tutorial;
mod unreachable;
mod upgrade;
mod usage;
