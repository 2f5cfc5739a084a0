//! Bars for long work: on stderr, only when it is a terminal and nobody asked for quiet.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` bytes, invisible when stderr is not a terminal.
pub fn over_bytes(total: u64, doing: &str) -> ProgressBar {
    let bar = hidden_unless_terminal(ProgressBar::new(total));
    bar.set_style(style("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
    bar.set_message(doing.to_owned());
    bar
}

/// A spinner for work of unknown length, invisible when stderr is not a terminal.
pub fn spinner(doing: &str) -> ProgressBar {
    let bar = hidden_unless_terminal(ProgressBar::new_spinner());
    bar.set_style(style("{spinner} {msg} {elapsed}"));
    bar.set_message(doing.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn hidden_unless_terminal(bar: ProgressBar) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn style(template: &'static str) -> ProgressStyle {
    // The templates are constants of this file and were tried; a plain bar is the fallback.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
