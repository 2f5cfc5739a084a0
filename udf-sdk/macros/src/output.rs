//! `#[derive(Output)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Field, Index, LitStr};

use crate::fields::{named, to_static};
use crate::names::plain;

pub fn expand(item: DeriveInput) -> syn::Result<TokenStream> {
    let parsed = named(&item, "Output", "struct Alert<'a> { account: &'a str, amount: f64 }")?;
    let ident = &item.ident;
    let (parameters, own, _) = item.generics.split_for_impl();
    let item_type = match &parsed.lifetime {
        Some(_) => quote!(#ident<'__item>),
        None => quote!(#ident),
    };
    let tag = tag(&item)?;
    let first = usize::from(tag.is_some());

    let mut columns = Vec::new();
    let mut declared = Vec::new();
    let mut appended = Vec::new();
    if let Some((key, value)) = &tag {
        columns.push(quote!(<&'static str as ::millstream_udf::__private::AppendField>::Column));
        declared.push(quote! {
            ::millstream_udf::__private::OutputField {
                name: #key.into(),
                kind: ::millstream_udf::__private::FieldType::Text,
                optional: false,
            }
        });
        appended.push(
            quote!(::millstream_udf::__private::AppendField::append(#value, &mut columns.0);),
        );
    }
    for (i, field) in parsed.fields.iter().enumerate() {
        let (ty, index) = (&field.ty, Index::from(i + first));
        let field_ident = &field.ident;
        let key = key(field)?;
        columns.push(
            quote_spanned!(ty.span()=> <#ty as ::millstream_udf::__private::AppendField>::Column),
        );
        declared.push(quote_spanned! {ty.span()=>
            ::millstream_udf::__private::OutputField {
                name: #key.into(),
                kind: <#ty as ::millstream_udf::__private::AppendField>::KIND,
                optional: <#ty as ::millstream_udf::__private::AppendField>::OPTIONAL,
            }
        });
        appended.push(
            quote_spanned!(ty.span()=> ::millstream_udf::__private::AppendField::append(item.#field_ident, &mut columns.#index);),
        );
    }
    let mut keys: Vec<String> = tag.iter().map(|(key, _)| key.clone()).collect();
    for field in &parsed.fields {
        let key = key(field)?;
        if keys.contains(&key) {
            return Err(syn::Error::new_spanned(
                &field.ident,
                format!("two fields have the key `{key}`"),
            ));
        }
        keys.push(key);
    }
    let checks = parsed.fields.iter().map(|field| bytes_alone(field, keys.len()));
    let empty = columns.iter().map(
        |column| quote_spanned!(column.span()=> <#column as ::millstream_udf::__private::Builder>::with_room(items)),
    );
    let finished = columns.iter().enumerate().map(|(i, column)| {
        let index = Index::from(i);
        quote_spanned!(column.span()=> ::millstream_udf::__private::Builder::finish(columns.#index))
    });
    Ok(quote! {
        #[automatically_derived]
        impl #parameters ::millstream_udf::__private::Output for #ident #own {
            type Item<'__item> = #item_type;
            type Columns = (#(#columns,)*);

            fn fields() -> ::std::vec::Vec<::millstream_udf::__private::OutputField> {
                ::std::vec![#(#declared),*]
            }

            fn columns(items: usize) -> Self::Columns {
                (#(#empty,)*)
            }

            #[inline]
            fn append(item: Self::Item<'_>, columns: &mut Self::Columns) {
                #(#appended)*
            }

            fn finish(columns: Self::Columns) -> ::std::vec::Vec<::millstream_udf::__private::Column> {
                ::std::vec![#(#finished),*]
            }
        }
        #(#checks)*
    })
}

/// A compile-time check that bytes are the only field.
fn bytes_alone(field: &Field, fields: usize) -> TokenStream {
    let ty = to_static(&field.ty);
    quote_spanned! {ty.span()=>
        const _: () = assert!(
            !matches!(
                <#ty as ::millstream_udf::__private::AppendField>::KIND,
                ::millstream_udf::__private::FieldType::Bytes
            ) || (#fields == 1 && !<#ty as ::millstream_udf::__private::AppendField>::OPTIONAL),
            "bytes must be the only field and not optional: they are the whole payload; JSON holds text"
        );
    }
}

fn key(field: &Field) -> syn::Result<String> {
    let mut key = field.ident.as_ref().map(plain).unwrap_or_default();
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("field")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                return Err(meta.error("`#[field]` of an output knows `rename = \"key\"`"));
            }
            key = meta.value()?.parse::<LitStr>()?.value();
            Ok(())
        })?;
    }
    Ok(key)
}

/// The constant field of `#[output(tag = "type", value = "score")]`.
fn tag(item: &DeriveInput) -> syn::Result<Option<(String, String)>> {
    let (mut tag, mut value) = (None, None);
    for attribute in item.attrs.iter().filter(|a| a.path().is_ident("output")) {
        attribute.parse_nested_meta(|meta| {
            let into = match () {
                () if meta.path.is_ident("tag") => &mut tag,
                () if meta.path.is_ident("value") => &mut value,
                () => {
                    return Err(meta
                        .error("`#[output]` of an item knows `tag = \"key\", value = \"text\"`"));
                }
            };
            *into = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        })?;
        if tag.is_some() != value.is_some() {
            return Err(syn::Error::new_spanned(attribute, "`tag` and `value` go together"));
        }
    }
    Ok(tag.zip(value))
}
