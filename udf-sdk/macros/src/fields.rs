//! The named fields of a derived struct, and its lifetime.

use syn::visit_mut::VisitMut;
use syn::{Data, DeriveInput, Field, Fields, GenericParam, Lifetime, Type};

/// A struct with named fields and at most one lifetime.
pub struct Struct {
    /// Its lifetime parameter.
    pub lifetime: Option<Lifetime>,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// Checks the shape of a struct for `#[derive(name)]`.
pub fn named(item: &DeriveInput, name: &str, example: &str) -> syn::Result<Struct> {
    let shape = |span| {
        syn::Error::new(
            span,
            format!("`#[derive({name})]` is for a struct with named fields, like `{example}`"),
        )
    };
    let Data::Struct(data) = &item.data else { return Err(shape(item.ident.span())) };
    let Fields::Named(fields) = &data.fields else { return Err(shape(item.ident.span())) };
    if fields.named.is_empty() {
        return Err(shape(item.ident.span()));
    }
    let mut lifetime = None;
    for parameter in &item.generics.params {
        match parameter {
            GenericParam::Lifetime(parameter) if lifetime.is_none() => {
                lifetime = Some(parameter.lifetime.clone())
            }
            other => {
                return Err(syn::Error::new_spanned(
                    other,
                    format!(
                        "`#[derive({name})]` allows one lifetime and no other generic parameter"
                    ),
                ));
            }
        }
    }
    Ok(Struct { lifetime, fields: fields.named.iter().cloned().collect() })
}

/// Refuses a lifetime on a struct that outlives the batch.
pub fn no_lifetime(of: &Struct, name: &str, hint: &str) -> syn::Result<()> {
    match &of.lifetime {
        Some(lifetime) => Err(syn::Error::new(
            lifetime.span(),
            format!("`#[derive({name})]` allows no lifetime; {hint}"),
        )),
        None => Ok(()),
    }
}

/// The same type with all lifetimes `'static`.
pub fn to_static(ty: &Type) -> Type {
    struct Static;
    impl VisitMut for Static {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }

        fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
            reference
                .lifetime
                .get_or_insert_with(|| Lifetime::new("'static", reference.and_token.span));
            syn::visit_mut::visit_type_reference_mut(self, reference);
        }
    }
    let mut ty = ty.clone();
    Static.visit_type_mut(&mut ty);
    ty
}
