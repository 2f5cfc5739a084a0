//! What the compiler says to common mistakes, pinned word by word.

#[test]
fn messages_teach() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
