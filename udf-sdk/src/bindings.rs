//! What `wit-bindgen` makes of the contract. Its types are those of [`crate::frame`] and
//! [`crate::describe`], so a mismatch with the contract does not compile.

#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../wit/udf-0.1.0",
    world: "udf",
    with: { "millstream:udf/types@0.1.0": crate::contract },
    runtime_path: "::millstream_udf::__private::wit_bindgen_rt",
    default_bindings_module: "millstream_udf::__private::bindings",
    pub_export_macro: true,
    export_macro_name: "export_component",
});
