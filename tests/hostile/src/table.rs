//! The list as a page.

use std::fmt::Write as _;

use crate::{Assembled, Bomb, Built, Command, Guest, Shape};

/// All guests as `tests/guests/README.md` shows them: a table per list.
pub fn table() -> String {
    let lists: [(&str, Vec<Guest>); 5] = [
        (
            "What `misbehave` does on a record",
            Command::ALL.iter().copied().map(Guest::Command).collect(),
        ),
        ("What `shaped` is", Shape::ALL.iter().copied().map(Guest::Shape).collect()),
        ("Assembled byte by byte", Assembled::ALL.iter().copied().map(Guest::Assembled).collect()),
        ("Costly to compile", Bomb::ALL.iter().copied().map(Guest::Bomb).collect()),
        ("Crates of their own", Built::ALL.iter().copied().map(Guest::Built).collect()),
    ];
    let mut page = String::new();
    for (title, guests) in lists {
        // Writing into a String does not fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| name | what it does | end | which says |\n|---|---|---|---|\n"
        );
        for guest in guests {
            let (name, about, ends) = (guest.name(), guest.about(), guest.ends());
            let says = match ends.says() {
                "" => String::new(),
                says => format!("`{}`", says.replace('`', "'").replace('|', "\\|")),
            };
            let _ = writeln!(page, "| `{name}` | {about} | {} | {says} |", ends.in_words());
        }
    }
    page
}
