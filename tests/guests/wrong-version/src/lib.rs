//! Implements a version of the contract that does not exist.

wit_bindgen::generate!({
    inline: r#"
        package millstream:udf@0.9.0;

        interface guest {
            describe: func() -> string;
        }

        world udf {
            export guest;
        }
    "#,
});

struct FromTheFuture;

impl exports::millstream::udf::guest::Guest for FromTheFuture {
    fn describe() -> String {
        "later".into()
    }
}

export!(FromTheFuture);
