//! The exit codes: what a script may rely on. One enum, which the root `--help`, `docs/exit-codes.md` and every
//! failure refer to.

use std::fmt::Write as _;

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for happened.
    Ok = 0,
    /// It failed in a way that no other code describes.
    Failure = 1,
    /// The command line is wrong. (clap exits with the same number.)
    Usage = 2,
    /// A manifest, a module or an input file is not valid.
    Invalid = 3,
    /// The named pipeline, module, dead letter, file or folder does not exist.
    NotFound = 4,
    /// It was understood and refused: a conflict, a limit or a state that forbids it.
    Refused = 5,
    /// No NATS server or no Millstream runtime answers there.
    Unreachable = 6,
    /// It did not finish within `--timeout`; it may still happen.
    TimedOut = 7,
    /// `diff --exit-code` found differences, a case of `test` failed, `checkpoint verify` found a damaged file, or `audit verify` a
    /// changed export.
    Differs = 8,
    /// The server does not accept these credentials, or they do not allow this.
    NotPermitted = 9,
}

impl Exit {
    /// All codes, in order.
    pub const ALL: [Exit; 10] = [
        Exit::Ok,
        Exit::Failure,
        Exit::Usage,
        Exit::Invalid,
        Exit::NotFound,
        Exit::Refused,
        Exit::Unreachable,
        Exit::TimedOut,
        Exit::Differs,
        Exit::NotPermitted,
    ];

    /// The number that the shell sees.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// One line for the table.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "everything that was asked for happened",
            Exit::Failure => "failed; for `doctor`: a check failed",
            Exit::Usage => "the command line is wrong",
            Exit::Invalid => "a manifest, a module or an input is not valid",
            Exit::NotFound => "the named thing does not exist",
            Exit::Refused => {
                "understood and refused: a conflict, a limit or a state that forbids it"
            }
            Exit::Unreachable => "no NATS server or no Millstream runtime answers",
            Exit::TimedOut => "not finished within --timeout; it may still happen",
            Exit::Differs => {
                "`diff --exit-code` found differences; for `test`: a case failed; for `checkpoint verify`: a file is damaged or missing; for `audit verify`: the export was changed"
            }
            Exit::NotPermitted => "these credentials are refused or do not allow this",
        }
    }

    /// The table as the root `--help` prints it.
    pub fn table() -> String {
        let mut text = String::from("Exit codes:\n");
        for exit in Exit::ALL {
            let _ = writeln!(text, "  {}  {}", exit.number(), exit.meaning());
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_order() {
        for pair in Exit::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number());
        }
    }

    #[test]
    fn the_page_in_the_documentation_lists_the_same_codes() {
        let page = include_str!("../../../docs/exit-codes.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.number(), exit.meaning());
            assert!(page.contains(&row), "docs/exit-codes.md lacks: {row}");
        }
    }
}
