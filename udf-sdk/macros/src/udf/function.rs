//! `#[udf]` on a function: the same as on an `impl` with only `process`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ItemFn;
use syn::spanned::Spanned;

use super::arguments::Role;
use super::expand::{Plan, write};
use super::handler::{Handler, Said};
use super::settings::Settings;
use crate::names;

/// `#[udf]` on a function.
pub fn expand(settings: Settings, function: ItemFn) -> syn::Result<TokenStream> {
    let ident = &function.sig.ident;
    if !function.sig.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &function.sig.generics,
            "a UDF has no generic parameters; write `'_` for a lifetime",
        ));
    }
    let handler = Handler::record(&function.sig, Said::default(), &settings, true)?;
    let ty = format_ident!("{}", names::camel(&names::plain(ident)), span = ident.span());
    let name = settings.name.clone().unwrap_or_else(|| names::kebab(&names::plain(ident)));
    let config = handler
        .arguments
        .iter()
        .find(|argument| argument.role == Role::Config)
        .map(|argument| argument.ty.clone());
    let (visibility, doc) = (&function.vis, format!("The UDF that [`{ident}`] is."));
    let (structure, create) = match &config {
        Some(config) => (
            quote!(#visibility struct #ty { config: #config }),
            quote_spanned! {config.span()=>
                ::core::result::Result::Ok(Self { config: ::millstream_udf::__private::configuration::<#config>(config)? })
            },
        ),
        None => (
            quote!(#visibility struct #ty;),
            quote!({
                let _ = config;
                ::core::result::Result::Ok(Self)
            }),
        ),
    };
    let plan = Plan {
        ty: quote!(#ty),
        name,
        settings,
        handlers: vec![handler],
        create,
        configured: config.is_some(),
        owner: quote!(),
    };
    let written = write(plan, &ty)?;
    Ok(quote! {
        #function

        #[doc = #doc]
        #structure

        #written
    })
}
