//! `#[window(field = ...)]` and `#[join(field = ...)]`: the handler of the windows or the join in a field of the state,
//! and how `#[udf]` drives that field.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::Parse;
use syn::{Attribute, Expr, Token};

use super::handler::{Handler, Trigger};
use super::settings::Settings;
use crate::names::plain;

/// Timers of a field: one of event time, and one beside it.
const TIMERS: u32 = 2;

/// What a field is.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Window,
    Join,
}

impl Kind {
    /// Its attribute.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Join => "join",
        }
    }

    /// What it is called in messages.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Window => "windows",
            Self::Join => "joins",
        }
    }
}

/// What the attribute says.
pub struct Field {
    pub kind: Kind,
    /// Name of the field in the state.
    pub name: Ident,
    /// How it is laid out.
    pub setup: Expr,
}

/// Reads the attribute.
pub fn field(kind: Kind, attribute: &Attribute, settings: &Settings) -> syn::Result<Field> {
    if settings.state.is_none() {
        let message = match kind {
            Kind::Window => {
                "windows are kept in the state: name it with `#[udf(state = T)]`, and give it a field `Windows<A>`"
            }
            Kind::Join => {
                "joins are kept in the state: name it with `#[udf(state = T)]`, and give it a field such as `IntervalJoin<L, R>`"
            }
        };
        return Err(syn::Error::new_spanned(attribute, message));
    }
    let parser = |input: syn::parse::ParseStream<'_>| {
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        let setup = Expr::parse(input)?;
        Ok(Field { kind, name, setup })
    };
    attribute.meta.require_list().and_then(|_| attribute.parse_args_with(parser)).map_err(|_| {
        let message = match kind {
            Kind::Window => {
                "name the field of the state and say how its windows are laid out: \
                 `#[window(minutes = Window::tumbling(Duration::from_secs(60)))]`; the expression may use `self`"
            }
            Kind::Join => {
                "name the field of the state and say how it joins: \
                 `#[join(settled = Interval::within(Duration::from_secs(60)))]`; the expression may use `self`"
            }
        };
        syn::Error::new_spanned(attribute, message)
    })
}

/// A handler of windows or of a join.
struct Windowed<'h> {
    handler: &'h Handler,
    field: &'h Field,
    name: &'h str,
    /// Index of its first timer: they come behind those of the handlers of timers.
    timer: u32,
}

fn windowed(handlers: &[Handler]) -> impl Iterator<Item = Windowed<'_>> {
    let others = handlers.iter().filter(|h| matches!(h.trigger, Trigger::Timer { .. })).count();
    let windows = handlers.iter().filter_map(|handler| match &handler.trigger {
        Trigger::Window { name, field, .. } => Some((handler, &**field, &name[..])),
        _ => None,
    });
    windows.enumerate().map(move |(i, (handler, field, name))| {
        let timer = others as u32 + i as u32 * TIMERS;
        Windowed { handler, field, name, timer }
    })
}

/// Refuses two handlers of one field.
pub fn check(handlers: &[Handler]) -> syn::Result<()> {
    let mut seen: Vec<&Ident> = Vec::new();
    for Windowed { field, .. } in windowed(handlers) {
        if seen.contains(&&field.name) {
            return Err(syn::Error::new(
                field.name.span(),
                match field.kind {
                    Kind::Window => {
                        format!("the windows `{}` have a handler already", plain(&field.name))
                    }
                    Kind::Join => {
                        format!("the join `{}` has a handler already", plain(&field.name))
                    }
                },
            ));
        }
        seen.push(&field.name);
    }
    Ok(())
}

/// The declarations of the fields' timers, behind those of the handlers of timers.
pub fn timers(handlers: &[Handler]) -> Vec<TokenStream> {
    windowed(handlers)
        .map(|Windowed { name, field, .. }| {
            let (beside, clock) = match field.kind {
                Kind::Window => (format!("{name}_early"), quote!(ProcessingTime)),
                Kind::Join => (format!("{name}_expired"), quote!(EventTime)),
            };
            quote! {
                .timer(#name, ::millstream_udf::__private::TimeDomain::EventTime)
                .timer(#beside, ::millstream_udf::__private::TimeDomain::#clock)
            }
        })
        .collect()
}

/// A compile-time check that every field that fires has a handler.
pub fn all_handled(handlers: &[Handler], settings: &Settings) -> TokenStream {
    let Some(state) = &settings.state else { return quote!() };
    let count = windowed(handlers).count();
    let span = syn::spanned::Spanned::span(state);
    quote_spanned! {span=>
        const _: () = assert!(
            <#state as ::millstream_udf::__private::States>::FIRING == #count,
            "each `Windows` of the state needs a handler: `#[window(minutes = Window::tumbling(size))] fn minute(&self, window: Fired<T>, ...)`, \
             and so does each join: `#[join(settled = Interval::within(time))] fn settled(&self, joined: Joined<L, R>, ...)`"
        );
    }
}

/// What stands before a handler's call.
pub fn prepare(handlers: &[Handler]) -> TokenStream {
    let fields = windowed(handlers).map(|Windowed { field: Field { name, setup, .. }, .. }| {
        quote_spanned! {name.span()=>
            ::millstream_udf::__private::prepare(&mut state.#name, || #setup, moment);
        }
    });
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() {
        return quote!();
    }
    quote! {
        let moment = ::millstream_udf::__private::Driver::moment(&*context);
        #(#fields)*
    }
}

/// A handler's call, and behind it all that the fields fire until none fires any more: what one fires may make
/// another fire.
pub fn drive(handlers: &[Handler], owner: &TokenStream, call: TokenStream) -> TokenStream {
    let mut loops = Vec::new();
    let mut changes = Vec::new();
    for Windowed { handler, field, timer, .. } in windowed(handlers) {
        let (name, fired) = (&field.name, handler.call(owner));
        let beside = timer + 1;
        loops.push(quote_spanned! {name.span()=>
            while let ::core::option::Option::Some(record) =
                ::millstream_udf::__private::Fires::next_fired(&mut state.#name)
            {
                again = true;
                let fired = ::millstream_udf::__private::Driver::fired(&*context);
                let done: ::millstream_udf::Result<()> = #fired;
                done?;
            }
        });
        changes.push(quote_spanned! {name.span()=>
            ::millstream_udf::__private::Driver::set_timers(
                context,
                #timer,
                #beside,
                ::millstream_udf::__private::Fires::new_timers(&mut state.#name),
            );
        });
    }
    if loops.is_empty() {
        return call;
    }
    quote! {{
        let done: ::millstream_udf::Result<()> = #call;
        done?;
        let mut again = true;
        while again {
            again = false;
            #(#loops)*
        }
        #(#changes)*
        ::core::result::Result::Ok(())
    }}
}

/// The arms for the fields' own timers.
pub fn arms(handlers: &[Handler], owner: &TokenStream) -> Vec<TokenStream> {
    let arm = |name: &Ident, timer: u32, by: TokenStream| {
        let call = quote_spanned! {name.span()=>
            {
                ::millstream_udf::__private::Fires::on_timer(
                    &mut state.#name,
                    ::millstream_udf::__private::FiresBy::#by,
                    context.time(),
                );
                ::core::result::Result::Ok(())
            }
        };
        let call = drive(handlers, owner, call);
        quote!(#timer => #call,)
    };
    windowed(handlers)
        .flat_map(|Windowed { field, timer, .. }| {
            [arm(&field.name, timer, quote!(Main)), arm(&field.name, timer + 1, quote!(Beside))]
        })
        .collect()
}
