//! The Rust in the book's pages and in the README, compiled and run by `cargo test --doc`. `cargo xtask tidy` demands that every
//! page that shows Rust is here.

macro_rules! pages {
    ($($name:ident: $page:literal,)*) => {
        $(#[doc = include_str!($page)]
        mod $name {})*
    };
}

pages! {
    readme: "../../README.md",
    determinism: "../../docs/determinism.md",
    failures: "../../docs/failures.md",
    joins: "../../docs/joins.md",
    patterns: "../../docs/patterns.md",
    state: "../../docs/state.md",
    time: "../../docs/time.md",
    unit_tests: "../../docs/unit-tests.md",
    windows: "../../docs/windows.md",
}
