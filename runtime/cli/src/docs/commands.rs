//! The reference of the commands, from clap's tree.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory};

use super::{assert_generated, cell};
use crate::cli::Cli;

const PAGE: &str = "docs/reference/cli.md";

const INTRODUCTION: &str = "# Commands

Written from the definition of the command line; `millstream COMMAND --help` says the same. How commands end is listed in [exit
codes](../exit-codes.md).
";

/// The page. Writing to a string cannot fail, so nothing here looks at what `write!` returns.
fn page(root: &Command) -> String {
    let mut text = String::from(INTRODUCTION);
    let commands: Vec<&Command> = shown(root).collect();
    text.push_str("\n| command | |\n|---|---|\n");
    for command in &commands {
        let name = command.get_name();
        let about = command.get_about().expect("every command says what it does").to_string();
        let _ = writeln!(text, "| [`{name}`](#{}-{name}) | {} |", root.get_name(), cell(&about));
    }
    text.push_str("\n## Options of all commands\n\n");
    for option in root.get_arguments().filter(|option| option.is_global_set()) {
        describe(&mut text, option);
    }
    for command in commands {
        section(&mut text, root.get_name(), 2, command);
    }
    text
}

fn section(text: &mut String, parent: &str, level: usize, command: &Command) {
    let path = format!("{parent} {}", command.get_name());
    let _ = writeln!(text, "\n{} {path}\n\n{}", "#".repeat(level), paragraphs(about(command), ""));
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(text, "\n```text\n{}\n```", usage.trim_start_matches("Usage: ").trim());
    let of_its_own = |argument: &&Arg| {
        !argument.is_global_set()
            && !argument.is_hide_set()
            && !matches!(
                argument.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            )
    };
    let (arguments, options): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(of_its_own).partition(|argument| argument.is_positional());
    if !(arguments.is_empty() && options.is_empty()) {
        text.push('\n');
    }
    for argument in arguments.into_iter().chain(options) {
        describe(text, argument);
    }
    for below in shown(command) {
        section(text, &path, level + 1, below);
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

fn about(command: &Command) -> &StyledStr {
    command.get_long_about().or(command.get_about()).expect("every command says what it does")
}

/// One item of a list.
fn describe(text: &mut String, argument: &Arg) {
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let help =
        argument.get_long_help().or(argument.get_help()).expect("every argument is described");
    let _ = write!(text, "- {short}`{argument}`: {}", paragraphs(help, "  "));
    let mut facts = Vec::new();
    if !argument.is_hide_default_value_set() && argument.get_action().takes_values() {
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<_> =
            defaults.map(|value| format!("`{}`", value.to_string_lossy())).collect();
        if !defaults.is_empty() {
            facts.push(format!("default {}", defaults.join(" ")));
        }
    }
    if let Some(variable) = argument.get_env() {
        facts.push(format!("environment `{}`", variable.to_string_lossy()));
    }
    if !facts.is_empty() {
        let _ = write!(text, " ({})", facts.join(", "));
    }
    text.push('\n');
    if !argument.get_action().takes_values() {
        return;
    }
    for value in argument.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
        let help = value.get_help().map(|help| format!(": {}", cell(&help.to_string())));
        let _ = writeln!(text, "  - `{}`{}", value.get_name(), help.unwrap_or_default());
    }
}

/// Paragraphs of a help text, each in one line. One that keeps its lines is shown as it stands.
fn paragraphs(help: &StyledStr, indent: &str) -> String {
    let help = help.to_string();
    let paragraphs = help.split("\n\n").map(|paragraph| match paragraph.contains('\n') {
        true => {
            format!("```text\n{}\n```", paragraph.trim_end()).replace('\n', &format!("\n{indent}"))
        }
        false => cell(paragraph),
    });
    paragraphs.collect::<Vec<_>>().join(&format!("\n\n{indent}"))
}

#[test]
fn the_reference_is_the_command_line() {
    let mut root = Cli::command();
    root.build();
    assert_generated(PAGE, &page(&root));
}

#[test]
fn a_command_is_described_with_its_arguments() {
    let mut root = Command::new("tool")
        .about("A tool")
        .arg(
            Arg::new("server")
                .long("server")
                .short('s')
                .value_name("URL")
                .help("Where")
                .global(true),
        )
        .subcommand(
            Command::new("walk").about("Walk").long_about("Walk\n\na: far\nb: away").subcommand(
                Command::new("on")
                    .about("Go on")
                    .arg(Arg::new("name").help("Who <it> is").required(true))
                    .arg(
                        Arg::new("pace")
                            .long("pace")
                            .help("How")
                            .value_parser(["slow", "fast"])
                            .default_value("slow"),
                    ),
            ),
        )
        .subcommand(Command::new("secret").hide(true));
    root.build();
    let text = page(&root);
    let expected = "
| command | |
|---|---|
| [`walk`](#tool-walk) | Walk |
| [`help`](#tool-help) | Print this message or the help of the given subcommand(s) |

## Options of all commands

- `-s`, `--server <URL>`: Where

## tool walk

Walk

```text
a: far
b: away
```

```text
tool walk [OPTIONS] [COMMAND]
```

### tool walk on

Go on

```text
tool walk on [OPTIONS] <name>
```

- `<name>`: Who &lt;it> is
- `--pace <pace>`: How (default `slow`)
  - `slow`
  - `fast`
";
    assert!(text.contains(expected), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
