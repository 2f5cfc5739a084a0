//! `#[derive(Outputs)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Field, LitStr, Type};

use crate::fields::{named, no_lifetime};
use crate::names::{item_name, plain};

pub fn expand(item: DeriveInput) -> syn::Result<TokenStream> {
    let parsed = named(&item, "Outputs", "struct Out { alerts: Emit<Alert<'static>> }")?;
    no_lifetime(
        &parsed,
        "Outputs",
        "write `Emit<Alert<'static>>`: it takes items of any lifetime",
    )?;
    let ident = &item.ident;
    let mut names = Vec::new();
    for field in &parsed.fields {
        if !is_emit(&field.ty) {
            return Err(syn::Error::new_spanned(
                &field.ty,
                "a field of `Outputs` is an `Emit<T>`, where `T` is the type of the items",
            ));
        }
        names.push(name(field)?);
    }
    let fields: Vec<_> = parsed.fields.iter().map(|field| &field.ident).collect();
    let types: Vec<_> = parsed.fields.iter().map(|field| &field.ty).collect();
    Ok(quote! {
        #[automatically_derived]
        impl ::millstream_udf::__private::Outputs for #ident {
            fn declare(outputs: &mut ::std::vec::Vec<::millstream_udf::__private::describe::Output>) {
                #(outputs.push(<#types>::declare_as(#names));)*
            }

            fn open(records: usize) -> Self {
                Self { #(#fields: <#types>::for_records(records)),* }
            }

            #[inline]
            fn select(&mut self, cause: u32) {
                #(self.#fields.select_cause(cause);)*
            }

            fn close(self, emitted: &mut ::std::vec::Vec<::millstream_udf::__private::Emitted>) {
                #(emitted.push(self.#fields.into_emitted());)*
            }
        }
    })
}

fn is_emit(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Emit"))
}

fn name(field: &Field) -> syn::Result<String> {
    let mut name = field.ident.as_ref().map(plain).unwrap_or_default();
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("output")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                return Err(meta.error("`#[output]` of an output knows `rename = \"name\"`"));
            }
            name = item_name(&meta.value()?.parse::<LitStr>()?)?;
            Ok(())
        })?;
    }
    Ok(name)
}
