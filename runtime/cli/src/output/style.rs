//! Colours: used on a terminal, unless `NO_COLOR` is set (to anything but the empty string) or `TERM` is `dumb`.

use std::io::IsTerminal;

/// What a piece of text means; its look follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Something is wrong.
    Error,
    /// All is well.
    Good,
    /// A label before a value.
    Label,
}

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colours: bool,
}

impl Paint {
    /// Never a colour.
    pub fn plain() -> Self {
        Paint { colours: false }
    }

    /// For stdout.
    pub fn stdout() -> Self {
        Paint { colours: std::io::stdout().is_terminal() && wanted() }
    }

    /// For stderr.
    pub fn stderr() -> Self {
        Paint { colours: std::io::stderr().is_terminal() && wanted() }
    }

    /// Whether there are colours.
    pub fn has_colours(self) -> bool {
        self.colours
    }

    /// The text in its look.
    pub fn apply(self, style: Style, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match style {
            Style::Error => "1;31",
            Style::Good => "32",
            Style::Label => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
