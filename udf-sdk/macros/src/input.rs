//! `#[derive(Input)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Field, Ident, Index, Lifetime, LitStr};

use crate::fields::{named, to_static};
use crate::names::plain;

const KNOWN: &str = "`#[field]` of an input knows `pointer = \"/a/b\"`, `rename = \"b\"`, `header = \"Name\"`, `subject` and `payload`";

/// Where a field comes from.
enum Source {
    Pointer(String),
    Payload,
    Subject,
    Header(String),
}

pub fn expand(item: DeriveInput) -> syn::Result<TokenStream> {
    let parsed = named(&item, "Input", "struct Payment<'a> { account: &'a str, amount: f64 }")?;
    let ident = &item.ident;
    let (_, own, _) = item.generics.split_for_impl();
    let life = parsed.lifetime.clone().unwrap_or_else(|| Lifetime::new("'__record", ident.span()));

    let mut readers = Vec::new();
    let mut declared = Vec::new();
    let mut opened = Vec::new();
    let mut read = Vec::new();
    let mut checks = Vec::new();
    for (i, field) in parsed.fields.iter().enumerate() {
        let source = source(field)?;
        let (ty, index) = (&field.ty, Index::from(i));
        let span = ty.span();
        let name_ident = named_ident(field);
        let name = plain(name_ident);
        let fixed = to_static(ty);
        readers.push(
            quote_spanned!(span=> <#ty as ::millstream_udf::__private::ReadField<#life>>::Column),
        );
        checks.push(check(&source, &name, &fixed));
        let source = match source {
            Source::Pointer(pointer) => {
                quote!(::millstream_udf::__private::FieldSource::Pointer(#pointer.into()))
            }
            Source::Payload => quote!(::millstream_udf::__private::FieldSource::Payload),
            Source::Subject => quote!(::millstream_udf::__private::FieldSource::Subject),
            Source::Header(header) => {
                quote!(::millstream_udf::__private::FieldSource::Header(#header.into()))
            }
        };
        declared.push(quote_spanned! {span=>
            ::millstream_udf::__private::InputField {
                name: #name.into(),
                source: #source,
                kind: <#ty as ::millstream_udf::__private::ReadField<#life>>::KIND,
                optional: <#ty as ::millstream_udf::__private::ReadField<#life>>::OPTIONAL,
            }
        });
        opened.push(quote_spanned!(span=> <#ty as ::millstream_udf::__private::ReadField<#life>>::open(&columns[#i])));
        read.push(quote_spanned! {span=>
            #name_ident: <#ty as ::millstream_udf::__private::ReadField<#life>>::read(&reader.#index, i)
                .map_err(|error| error.context(#name))?
        });
    }
    Ok(quote! {
        #[automatically_derived]
        impl<#life> ::millstream_udf::__private::Input<#life> for #ident #own {
            type Reader = (#(#readers,)*);

            fn fields() -> ::std::vec::Vec<::millstream_udf::__private::InputField> {
                ::std::vec![#(#declared),*]
            }

            fn open(columns: &#life [::millstream_udf::__private::Column]) -> Self::Reader {
                (#(#opened,)*)
            }

            #[inline]
            fn read(reader: &Self::Reader, i: usize) -> ::millstream_udf::Result<Self> {
                ::core::result::Result::Ok(Self { #(#read),* })
            }
        }
        #(#checks)*
    })
}

fn named_ident(field: &Field) -> &Ident {
    field.ident.as_ref().expect("the struct was checked to have named fields")
}

/// A compile-time check that the source can deliver the type.
fn check(source: &Source, name: &str, ty: &syn::Type) -> TokenStream {
    let kind = |names: &[&str]| {
        let names = names.iter().map(|name| Ident::new(name, ty.span()));
        quote!(#(::millstream_udf::__private::FieldType::#names { .. })|*)
    };
    let (kinds, what) = match source {
        Source::Pointer(_) => (
            kind(&["Boolean", "S64", "F64", "Decimal", "Text", "Json"]),
            "comes from JSON, which holds no bytes; use `&str`, or `#[field(payload)]` for the whole payload",
        ),
        Source::Payload => (
            kind(&["Bytes", "Json"]),
            "is the payload: its type must be `&[u8]`, `Vec<u8>`, `RawJson` or `Json<T>`",
        ),
        Source::Subject => (kind(&["Text"]), "is the subject: its type must be `&str` or `String`"),
        Source::Header(_) => (
            kind(&["Text", "Bytes"]),
            "is a header: its type must be `&str`, `String`, `&[u8]` or `Vec<u8>`",
        ),
    };
    let message = format!("the field `{name}` {what}");
    quote_spanned! {ty.span()=>
        const _: () = assert!(
            matches!(<#ty as ::millstream_udf::__private::ReadField<'static>>::KIND, #kinds),
            #message
        );
    }
}

fn source(field: &Field) -> syn::Result<Source> {
    let mut source = None;
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("field")) {
        attribute.parse_nested_meta(|meta| {
            let new = if meta.path.is_ident("pointer") {
                Source::Pointer(pointer(&meta.value()?.parse()?)?)
            } else if meta.path.is_ident("rename") {
                Source::Pointer(pointer_to(&meta.value()?.parse::<LitStr>()?.value()))
            } else if meta.path.is_ident("header") {
                Source::Header(meta.value()?.parse::<LitStr>()?.value())
            } else if meta.path.is_ident("subject") {
                Source::Subject
            } else if meta.path.is_ident("payload") {
                Source::Payload
            } else {
                return Err(meta.error(KNOWN));
            };
            if source.replace(new).is_some() {
                return Err(meta.error("a field comes from one place only"));
            }
            Ok(())
        })?;
    }
    Ok(source.unwrap_or_else(|| Source::Pointer(pointer_to(&plain(named_ident(field))))))
}

/// The pointer to a top-level key.
fn pointer_to(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn pointer(literal: &LitStr) -> syn::Result<String> {
    let pointer = literal.value();
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !(pointer.is_empty() || pointer.starts_with('/')) || !escaped {
        return Err(syn::Error::new(
            literal.span(),
            "a JSON pointer (RFC 6901) starts with `/`, like `/customer/id`; `~` is written `~0` and `/` within a key `~1`",
        ));
    }
    Ok(pointer)
}
