//! `millstream` as the fault harness starts it: the same commands, and `run` takes orders from its standard input, one a line:
//! `crash POINT@COUNT` to die at a crash point, `clock MS` to have the clock jump. At the end of the input it dies, so that it
//! does not outlive the harness. `MILLSTREAM_CRASH` is such a death from the start, `MILLSTREAM_BUG` a planted bug.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use millstream_engine::{clock, planted};
use millstream_tests::crash::{crash_as_told, crash_at};
use millstream_tests::faults::BUG_VARIABLE;

fn main() -> ExitCode {
    // Other commands, and the compilers that nodes start, are as users have them.
    if std::env::args().nth(1).is_some_and(|command| command == "run")
        && let Err(error) = take_orders()
    {
        eprintln!("fault-node: {error:#}");
        return ExitCode::FAILURE;
    }
    millstream_cli::main()
}

fn take_orders() -> Result<()> {
    crash_as_told()?;
    if let Ok(bug) = std::env::var(BUG_VARIABLE) {
        planted::plant(bug.parse()?);
    }
    std::thread::spawn(|| {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Err(error) = obey(&line) {
                eprintln!("fault-node: {error:#}");
                break;
            }
        }
        std::process::abort();
    });
    Ok(())
}

fn obey(line: &str) -> Result<()> {
    match line.split_once(' ') {
        Some(("crash", told)) => crash_at(told),
        Some(("clock", by)) => {
            clock::jump(by.parse().context("`clock` takes milliseconds")?);
            Ok(())
        }
        _ => bail!("`{line}` is no order"),
    }
}
