//! `#[derive(States)]`.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Expr, ExprArray, ExprLit, Field, Lit, LitInt, LitStr, Type};

use crate::fields::{named, no_lifetime};
use crate::names::{duration_ms, item_name, plain};

/// What `#[state(...)]` says.
struct Settings {
    name: String,
    ttl_ms: Option<u64>,
    event_time: bool,
    version: u32,
    /// Older versions that can be read, and by what.
    reads: Vec<u32>,
    migrate: Option<Expr>,
}

/// One field of the struct.
struct State<'f> {
    name: &'f Ident,
    ty: &'f Type,
    settings: Settings,
}

pub fn expand(item: DeriveInput) -> syn::Result<TokenStream> {
    let parsed = named(&item, "States", "struct Card { profile: Value<Profile> }")?;
    no_lifetime(&parsed, "States", "state outlives the records, so it owns what it holds")?;
    let ident = &item.ident;
    let field = |call: fn(&syn::Ident, &syn::Type) -> TokenStream| {
        let fields = parsed.fields.iter();
        fields.filter_map(move |field| Some(call(field.ident.as_ref()?, &field.ty)))
    };
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
    let (mut opened, mut timed) = (Vec::new(), Vec::new());
    for field in &parsed.fields {
        let Some(ident) = &field.ident else { continue };
        let state = State { name: ident, ty: &field.ty, settings: settings(field)? };
        opened.push(state.open());
        timed.extend(state.at());
        let Settings { name, ttl_ms, event_time, version, reads, .. } = state.settings;
        let ty = &field.ty;
        let domain = if event_time { quote!(EventTime) } else { quote!(ProcessingTime) };
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
                    ttl_domain: ::millstream_udf::__private::TimeDomain::#domain,
                    schema_version: #version,
                    reads: ::std::vec![#(#reads),*],
                    ..::millstream_udf::__private::describe::State::new(
                        #name,
                        <#ty as ::millstream_udf::__private::StateField>::KIND,
                    )
                },
                states,
            );
        });
    }
    let is_timed = !timed.is_empty();
    Ok(quote! {
        #[automatically_derived]
        impl ::millstream_udf::__private::States for #ident {
            const FIRING: usize = 0 #(+ #firing)*;
            const KEYED: bool = #(#keyed)&&*;
            const BROADCAST: bool = #(#broadcast)&&*;
            const TIMED: bool = #is_timed;

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

            #[inline]
            fn at(&mut self, now: ::millstream_udf::__private::Now) {
                let _ = now;
                #(#timed)*
            }

            fn close(self, written: &mut ::std::vec::Vec<::millstream_udf::__private::Written>) {
                #(#closed)*
            }
        }
        #(#checks)*
    })
}

impl State<'_> {
    /// The field's initialiser.
    fn open(&self) -> TokenStream {
        let Self { name, ty, settings } = self;
        let Settings { name: state, ttl_ms, event_time, version, migrate, .. } = settings;
        let event_ttl_ms = match ttl_ms {
            Some(ms) if *event_time => quote!(::core::option::Option::Some(#ms)),
            _ => quote!(::core::option::Option::None),
        };
        let opened = quote_spanned! {ty.span()=>
            <#ty as ::millstream_udf::__private::StateField>::open(
                opening.lay_out(::millstream_udf::__private::Layout {
                    name: #state,
                    version: #version,
                    event_ttl_ms: #event_ttl_ms,
                }),
            )
        };
        match migrate {
            // The function stands where the compiler points to when its type is wrong.
            Some(migrate) => {
                let migrated = quote_spanned! {ty.span()=>
                    <#ty as ::millstream_udf::__private::Migrates>::migrated_by
                };
                quote_spanned!(migrate.span()=> #name: #migrated(#opened, #migrate))
            }
            None => quote!(#name: #opened),
        }
    }

    /// What tells the field the times of a handler, if they matter to it.
    fn at(&self) -> Option<TokenStream> {
        let Self { name, ty, settings } = self;
        let at = quote_spanned! {ty.span()=>
            ::millstream_udf::__private::StateField::set_now(&mut self.#name, now);
        };
        (settings.event_time && settings.ttl_ms.is_some()).then_some(at)
    }
}

fn settings(field: &Field) -> syn::Result<Settings> {
    let name = field.ident.as_ref().map(plain).unwrap_or_default();
    let mut settings = Settings {
        name,
        ttl_ms: None,
        event_time: false,
        version: 1,
        reads: Vec::new(),
        migrate: None,
    };
    let (mut clock, mut reads): (Option<Ident>, Option<ExprArray>) = (None, None);
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("state")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("ttl") {
                settings.ttl_ms = Some(duration_ms(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("event_time") || meta.path.is_ident("processing_time") {
                if clock.is_some() {
                    return Err(meta.error("a state expires by one clock only"));
                }
                settings.event_time = meta.path.is_ident("event_time");
                clock = meta.path.get_ident().cloned();
            } else if meta.path.is_ident("version") {
                settings.version = version(&meta.value()?.parse::<LitInt>()?)?;
            } else if meta.path.is_ident("migrate") {
                settings.migrate = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("reads") {
                reads = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("rename") {
                settings.name = item_name(&meta.value()?.parse::<LitStr>()?)?;
            } else {
                return Err(meta.error(
                    "`#[state]` knows `ttl = \"30d\"` with `event_time` or `processing_time`, `version = 2` \
                     with `migrate = function` and `reads = [1]`, and `rename = \"name\"`",
                ));
            }
            Ok(())
        })?;
    }
    if let (Some(clock), None) = (&clock, settings.ttl_ms) {
        return Err(syn::Error::new_spanned(
            clock,
            format!("`{clock}` is the clock of a time to live: add `ttl = \"30d\"`"),
        ));
    }
    settings.reads = older(&settings, reads.as_ref())?;
    Ok(settings)
}

fn version(literal: &LitInt) -> syn::Result<u32> {
    match literal.base10_parse()? {
        0 => Err(syn::Error::new_spanned(literal, "versions are counted from 1")),
        version => Ok(version),
    }
}

/// The older versions that can be read: those that are listed, or all if there is something to read them by.
fn older(settings: &Settings, reads: Option<&ExprArray>) -> syn::Result<Vec<u32>> {
    let own = settings.version;
    let Some(migrate) = &settings.migrate else {
        return match reads {
            None => Ok(Vec::new()),
            Some(reads) => Err(syn::Error::new_spanned(
                reads,
                "say what older versions are read by: `migrate = function`, a `fn(from: u32, bytes: &[u8]) -> Result<T>`",
            )),
        };
    };
    if own == 1 {
        return Err(syn::Error::new_spanned(
            migrate,
            "version 1 has no older ones to migrate from: raise `version` with each change of the type",
        ));
    }
    let Some(reads) = reads else { return Ok((1..own).collect()) };
    let mut older = Vec::new();
    for item in &reads.elems {
        let Expr::Lit(ExprLit { lit: Lit::Int(literal), .. }) = item else {
            return Err(syn::Error::new_spanned(item, "a version is a number, like `1`"));
        };
        let read = version(literal)?;
        if read >= own {
            return Err(syn::Error::new_spanned(
                item,
                format!("version {read} is not older than the state's own, {own}"),
            ));
        }
        if older.contains(&read) {
            return Err(syn::Error::new_spanned(item, format!("version {read} is listed twice")));
        }
        older.push(read);
    }
    if older.is_empty() {
        return Err(syn::Error::new_spanned(
            reads,
            "a state that reads no older version needs no `migrate`",
        ));
    }
    Ok(older)
}
