//! A component that implements something else.

wit_bindgen::generate!({
    inline: r#"
        package other:thing@1.0.0;

        interface greeter {
            greet: func() -> string;
        }

        world greets {
            export greeter;
        }
    "#,
});

struct Greeter;

impl exports::other::thing::greeter::Guest for Greeter {
    fn greet() -> String {
        "hello".into()
    }
}

export!(Greeter);
