//! `#[udf]`: settings and handlers are parsed, checked against each other, and written out as an
//! implementation of `Udf` and, on wasm, the component's exports.

mod arguments;
mod expand;
mod function;
mod handler;
mod settings;
mod window;

use proc_macro2::TokenStream;
use syn::Item;

use self::settings::Settings;

pub fn expand(settings: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let settings = Settings::parse(settings)?;
    match syn::parse2(item)? {
        Item::Impl(block) => expand::implementation(settings, block),
        Item::Fn(function) => function::expand(settings, function),
        other => Err(syn::Error::new_spanned(
            other,
            "`#[udf]` goes on the `impl` block that has `process` and the timers, or on a function",
        )),
    }
}
