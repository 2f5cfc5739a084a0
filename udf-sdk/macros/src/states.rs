//! `#[derive(States)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Field, LitInt, LitStr};

use crate::fields::{named, no_lifetime};
use crate::names::{duration_ms, item_name, plain};

/// What `#[state(...)]` says.
struct Settings {
    name: String,
    ttl_ms: Option<u64>,
    version: u32,
}

pub fn expand(item: DeriveInput) -> syn::Result<TokenStream> {
    let parsed = named(&item, "States", "struct Card { profile: Value<Profile> }")?;
    no_lifetime(&parsed, "States", "state outlives the records, so it owns what it holds")?;
    let ident = &item.ident;
    let field = |call: fn(&syn::Ident, &syn::Type) -> TokenStream| {
        let fields = parsed.fields.iter();
        fields.filter_map(move |field| Some(call(field.ident.as_ref()?, &field.ty)))
    };
    let opened = field(
        |name, ty| quote_spanned!(ty.span()=> #name: <#ty as ::millstream_udf::__private::StateField>::open(opening)),
    );
    let selected = field(
        |name, ty| quote_spanned!(ty.span()=> ::millstream_udf::__private::StateField::select(&mut self.#name, key);),
    );
    let closed = field(
        |name, ty| quote_spanned!(ty.span()=> ::millstream_udf::__private::StateField::close(self.#name, written);),
    );
    let firing = field(
        |_, ty| quote_spanned!(ty.span()=> <#ty as ::millstream_udf::__private::StateField>::FIRING),
    );
    let keyed = field(
        |_, ty| quote_spanned!(ty.span()=> !<#ty as ::millstream_udf::__private::StateField>::BROADCAST),
    );
    let broadcast = field(
        |_, ty| quote_spanned!(ty.span()=> <#ty as ::millstream_udf::__private::StateField>::BROADCAST),
    );
    let (mut declared, mut checks) = (Vec::new(), Vec::new());
    for field in &parsed.fields {
        let Settings { name, ttl_ms, version } = settings(field)?;
        let ty = &field.ty;
        let ttl_ms = match ttl_ms {
            Some(ms) => {
                checks.push(quote_spanned! {ty.span()=>
                    const _: () = assert!(
                        <#ty as ::millstream_udf::__private::StateField>::FIRING == 0,
                        "windows and joins keep what they need until the watermark has passed it, and have no `ttl`"
                    );
                    const _: () = assert!(
                        !<#ty as ::millstream_udf::__private::StateField>::BROADCAST,
                        "broadcast state is there until it is removed, and has no `ttl`"
                    );
                });
                quote!(::core::option::Option::Some(#ms))
            }
            None => quote!(::core::option::Option::None),
        };
        declared.push(quote_spanned! {ty.span()=>
            <#ty as ::millstream_udf::__private::StateField>::declare(
                ::millstream_udf::__private::describe::State {
                    ttl_ms: #ttl_ms,
                    schema_version: #version,
                    ..::millstream_udf::__private::describe::State::new(
                        #name,
                        <#ty as ::millstream_udf::__private::StateField>::KIND,
                    )
                },
                states,
            );
        });
    }
    Ok(quote! {
        #[automatically_derived]
        impl ::millstream_udf::__private::States for #ident {
            const FIRING: usize = 0 #(+ #firing)*;
            const KEYED: bool = #(#keyed)&&*;
            const BROADCAST: bool = #(#broadcast)&&*;

            fn declare(states: &mut ::std::vec::Vec<::millstream_udf::__private::describe::State>) {
                #(#declared)*
            }

            fn open(opening: &mut ::millstream_udf::__private::Opening) -> Self {
                Self { #(#opened),* }
            }

            #[inline]
            fn select(&mut self, key: u32) {
                #(#selected)*
            }

            fn close(self, written: &mut ::std::vec::Vec<::millstream_udf::__private::Written>) {
                #(#closed)*
            }
        }
        #(#checks)*
    })
}

fn settings(field: &Field) -> syn::Result<Settings> {
    let name = field.ident.as_ref().map(plain).unwrap_or_default();
    let mut settings = Settings { name, ttl_ms: None, version: 1 };
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("state")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("ttl") {
                settings.ttl_ms = Some(duration_ms(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("version") {
                settings.version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
            } else if meta.path.is_ident("rename") {
                settings.name = item_name(&meta.value()?.parse::<LitStr>()?)?;
            } else {
                return Err(meta.error(
                    "`#[state]` knows `ttl = \"30d\"`, `version = 2` and `rename = \"name\"`",
                ));
            }
            Ok(())
        })?;
    }
    Ok(settings)
}
