//! Writes the implementation of `Udf` and the component's exports.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, ImplItem, ItemImpl, Type};

use super::arguments::{Role, typed};
use super::handler::{Handler, Returned, Trigger};
use super::settings::Settings;
use super::window;
use crate::fields::to_static;
use crate::names;

/// A UDF, ready to be written out.
pub struct Plan {
    /// The type that implements `Udf`.
    pub ty: TokenStream,
    pub name: String,
    pub settings: Settings,
    pub handlers: Vec<Handler>,
    /// The expression that makes an instance, of type `Result<Self>`.
    pub create: TokenStream,
    /// Whether it asks for its configuration.
    pub configured: bool,
    /// What stands before the name of a handler without `self`.
    pub owner: TokenStream,
}

/// `#[udf]` on an `impl` block.
pub fn implementation(settings: Settings, mut block: ItemImpl) -> syn::Result<TokenStream> {
    if let Some((_, path, _)) = &block.trait_ {
        return Err(syn::Error::new_spanned(
            path,
            "`#[udf]` goes on the type's own `impl` block, not on that of a trait",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &block.generics,
            "a UDF's type has no generic parameters",
        ));
    }
    let (ty, ident) = match &*block.self_ty {
        Type::Path(path) => match path.path.segments.last() {
            Some(last) => (quote!(#path), last.ident.clone()),
            None => return Err(syn::Error::new_spanned(path, "name the UDF's type")),
        },
        other => return Err(syn::Error::new_spanned(other, "name the UDF's type")),
    };

    let mut handlers = Vec::new();
    let mut config = None;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else { continue };
        if function.sig.ident == "new" {
            config = Some(config_type(&function.sig)?);
        } else if let Some(handler) = Handler::find(&mut function.attrs, &function.sig, &settings)?
        {
            handlers.push(handler);
        }
    }
    let create = match &config {
        Some(config) => quote_spanned! {config.span()=>
            Self::new(::millstream_udf::__private::configuration::<#config>(config)?)
        },
        None => quote_spanned! {block.self_ty.span()=>
            { let _ = config; ::core::result::Result::Ok(<Self as ::core::default::Default>::default()) }
        },
    };
    let constants = timer_constants(&handlers);
    let name = settings.name.clone().unwrap_or_else(|| names::kebab(&ident.to_string()));
    let configured = config.is_some();
    let plan = Plan {
        ty: ty.clone(),
        name,
        settings,
        handlers,
        create,
        configured,
        owner: quote!(Self::),
    };
    let written = write(plan, &ident)?;
    Ok(quote! {
        #block

        /// The handles of the timers.
        #[allow(dead_code)]
        impl #ty {
            #(#constants)*
        }

        #written
    })
}

/// The type of `new`'s argument.
fn config_type(signature: &syn::Signature) -> syn::Result<Type> {
    let inputs: Vec<&FnArg> = signature.inputs.iter().collect();
    match &inputs[..] {
        [only] => typed(only).map(|argument| (*argument.ty).clone()),
        _ => Err(syn::Error::new_spanned(
            &signature.inputs,
            "`new` makes the UDF from its configuration: `fn new(config: Config) -> Result<Self>`, where `Config` is `Deserialize`",
        )),
    }
}

fn timer_constants(handlers: &[Handler]) -> Vec<TokenStream> {
    let timers = handlers.iter().filter_map(|handler| match &handler.trigger {
        Trigger::Timer { name, event_time } => Some((name, *event_time, handler.ident.span())),
        Trigger::Input { .. } | Trigger::Window { .. } => None,
    });
    timers
        .enumerate()
        .map(|(index, (name, event_time, span))| {
            let constant = Ident::new(&name.to_uppercase(), span);
            let index = index as u32;
            let clock = if event_time { format_ident!("EventTime") } else { format_ident!("ProcessingTime") };
            let doc = format!("The timer that `{name}` handles.");
            quote! {
                #[doc = #doc]
                pub const #constant: ::millstream_udf::Timer<::millstream_udf::#clock> = ::millstream_udf::Timer::declared(#index);
            }
        })
        .collect()
}

/// Writes out a plan.
pub fn write(plan: Plan, ident: &Ident) -> syn::Result<TokenStream> {
    let state = match &plan.settings.state {
        Some(state) => quote!(#state),
        None => quote!(()),
    };
    let broadcast = match &plan.settings.broadcast {
        Some(broadcast) => quote!(#broadcast),
        None => quote!(()),
    };
    let outputs = outputs_type(&plan)?;
    let (ty, create, configured) = (&plan.ty, &plan.create, plan.configured);
    window::check(&plan.handlers)?;
    let description = description(&plan, ident)?;
    let all_handled = window::all_handled(&plan.handlers, &plan.settings);
    let kinds = kinds_of_state(&plan.settings);
    let prepare = window::prepare(&plan.handlers);
    let (inputs, timers) = arms(&plan);
    let use_timers =
        if timers.is_empty() { quote!(let _ = (&state, &broadcast, &outputs);) } else { quote!() };
    Ok(quote! {
        #[automatically_derived]
        #[allow(clippy::unit_arg, clippy::let_unit_value, unused_variables)]
        impl ::millstream_udf::Udf for #ty {
            type State = #state;
            type Broadcast = #broadcast;
            type Outputs = #outputs;

            const CONFIGURED: bool = #configured;

            fn description() -> ::millstream_udf::__private::Description {
                #description
            }

            fn create(config: ::core::option::Option<&str>) -> ::millstream_udf::Result<Self> {
                #create
            }

            fn process_batch(
                &self,
                batch: ::millstream_udf::__private::Batch,
            ) -> ::millstream_udf::Result<::millstream_udf::__private::Effects, ::millstream_udf::__private::Failure> {
                let input = batch.input;
                let (records, columns, values) = ::millstream_udf::__private::Records::split(batch);
                match input {
                    #(#inputs)*
                    other => ::millstream_udf::__private::undeclared("input", other),
                }
            }

            fn fire_timers(
                &self,
                batch: ::millstream_udf::__private::TimerBatch,
            ) -> ::millstream_udf::Result<::millstream_udf::__private::Effects, ::millstream_udf::__private::Failure> {
                let (timers, values) = ::millstream_udf::__private::Timers::split(batch);
                ::millstream_udf::__private::on_timer::<Self::State, Self::Broadcast, Self::Outputs>(
                    &timers,
                    values,
                    |state, broadcast, outputs, context| {
                        #use_timers
                        #prepare
                        match context.timer() {
                            #(#timers)*
                            other => ::millstream_udf::__private::undeclared("timer", other),
                        }
                    },
                )
            }
        }

        #all_handled
        #kinds

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static INSTANCE: ::millstream_udf::__private::Instance<#ty> = ::millstream_udf::__private::Instance::new();

            struct Component;

            impl ::millstream_udf::__private::Guest for Component {
                fn describe() -> ::millstream_udf::__private::Description {
                    INSTANCE.describe()
                }

                fn process(
                    batch: ::millstream_udf::__private::Batch,
                ) -> ::core::result::Result<::millstream_udf::__private::Effects, ::millstream_udf::__private::Failure> {
                    INSTANCE.process(batch)
                }

                fn on_timer(
                    batch: ::millstream_udf::__private::TimerBatch,
                ) -> ::core::result::Result<::millstream_udf::__private::Effects, ::millstream_udf::__private::Failure> {
                    INSTANCE.on_timer(batch)
                }
            }

            ::millstream_udf::__private::bindings::export_component!(Component with_types_in ::millstream_udf::__private::bindings);
        };
    })
}

/// Compile-time checks that the states of keys and those of the partition are apart.
fn kinds_of_state(settings: &Settings) -> TokenStream {
    let keyed = settings.state.iter().map(|state| {
        quote_spanned! {state.span()=>
            const _: () = assert!(
                <#state as ::millstream_udf::__private::States>::KEYED,
                "what is broadcast belongs to no key: give it a struct of its own, named with `#[udf(broadcast = T)]`"
            );
        }
    });
    let broadcast = settings.broadcast.iter().map(|broadcast| {
        quote_spanned! {broadcast.span()=>
            const _: () = assert!(
                <#broadcast as ::millstream_udf::__private::States>::BROADCAST,
                "broadcast state has fields such as `BroadcastMap<K, V>`, `BroadcastValue<T>` and `BroadcastTable<K, V>` only"
            );
        }
    });
    quote!(#(#keyed)* #(#broadcast)*)
}

/// The outputs: as declared, or taken as `Emit<T>`, or returned.
fn outputs_type(plan: &Plan) -> syn::Result<TokenStream> {
    if let Some(outputs) = &plan.settings.outputs {
        let outputs = to_static(outputs);
        return Ok(quote!(#outputs));
    }
    let taken = plan
        .handlers
        .iter()
        .flat_map(|h| &h.arguments)
        .find(|argument| argument.role == Role::Outputs);
    if let Some(taken) = taken {
        let ty = to_static(&taken.ty);
        return Ok(quote!(#ty));
    }
    let mut returned = plan.handlers.iter().filter_map(|handler| match &handler.returned {
        Returned::Items { item, .. } => Some(item),
        Returned::Nothing => None,
    });
    match (returned.next(), returned.next()) {
        (None, _) => Ok(quote!(())),
        (Some(item), None) if plan.handlers.len() == 1 => {
            let span = item.span();
            let item = to_static(item);
            Ok(quote_spanned!(span=> ::millstream_udf::Emit<#item>))
        }
        (Some(item), _) => Err(syn::Error::new_spanned(
            item,
            "only a UDF with a single handler may return what it emits; declare `outputs` and take them as an argument",
        )),
    }
}

fn description(plan: &Plan, ident: &Ident) -> syn::Result<TokenStream> {
    let name = &plan.name;
    let version = match &plan.settings.version {
        Some(version) => quote!(#version),
        None => quote!(::core::env!("CARGO_PKG_VERSION")),
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut declared = Vec::new();
    for handler in &plan.handlers {
        match &handler.trigger {
            Trigger::Input { name, record, broadcast } => {
                if seen.contains(&&name[..]) {
                    return Err(syn::Error::new(
                        handler.ident.span(),
                        format!("the input `{name}` has a handler already"),
                    ));
                }
                seen.push(name);
                declared.push(if *broadcast {
                    quote_spanned!(record.span()=> .broadcast_input::<#record>(#name))
                } else {
                    quote_spanned!(record.span()=> .input::<#record>(#name))
                });
            }
            Trigger::Timer { name, event_time } => {
                let domain = if *event_time { quote!(EventTime) } else { quote!(ProcessingTime) };
                declared
                    .push(quote!(.timer(#name, ::millstream_udf::__private::TimeDomain::#domain)));
            }
            Trigger::Window { .. } => {}
        }
    }
    declared.extend(window::timers(&plan.handlers));
    if seen.is_empty() {
        return Err(syn::Error::new(
            ident.span(),
            "a UDF has a `process` function that takes a record, or functions with `#[input]`",
        ));
    }
    let asks = |role| plan.handlers.iter().any(|handler| handler.takes(role));
    if plan.configured {
        declared.push(quote!(.capability(::millstream_udf::__private::Capability::Config)));
    }
    if asks(Role::Random) {
        declared.push(quote!(.capability(::millstream_udf::__private::Capability::Random)));
    }
    if asks(Role::Metrics) {
        declared.push(quote!(.capability(::millstream_udf::__private::Capability::Metrics)));
    }
    Ok(quote! {
        ::millstream_udf::__private::Description::start(#name, #version)
            .states::<Self::State>()
            .states::<Self::Broadcast>()
            .outputs::<Self::Outputs>()
            #(#declared)*
    })
}

/// The arms that call the handlers: of inputs and of timers, each in the order of declaration.
fn arms(plan: &Plan) -> (Vec<TokenStream>, Vec<TokenStream>) {
    let (mut inputs, mut timers) = (Vec::new(), Vec::new());
    let prepare = window::prepare(&plan.handlers);
    for handler in &plan.handlers {
        let call = window::drive(&plan.handlers, &plan.owner, handler.call(&plan.owner));
        match &handler.trigger {
            Trigger::Input { record, broadcast: true, .. } => {
                let index = inputs.len() as u32;
                let open = quote_spanned!(record.span()=> <#record as ::millstream_udf::__private::Input>::open(&columns));
                let read = quote_spanned!(record.span()=> <#record as ::millstream_udf::__private::Input>::read(&reader, i)?);
                let call = handler.call(&plan.owner);
                inputs.push(quote! {
                    #index => {
                        let reader = #open;
                        ::millstream_udf::__private::process_broadcast::<Self::State, Self::Broadcast, Self::Outputs>(
                            &records,
                            values,
                            |i, broadcast, outputs, context| {
                                let record = #read;
                                #call
                            },
                        )
                    }
                });
            }
            Trigger::Input { record, .. } => {
                let index = inputs.len() as u32;
                let open = quote_spanned!(record.span()=> <#record as ::millstream_udf::__private::Input>::open(&columns));
                let read = quote_spanned!(record.span()=> <#record as ::millstream_udf::__private::Input>::read(&reader, i)?);
                inputs.push(quote! {
                    #index => {
                        let reader = #open;
                        ::millstream_udf::__private::process::<Self::State, Self::Broadcast, Self::Outputs>(
                            &records,
                            values,
                            |i, state, broadcast, outputs, context| {
                                #prepare
                                let record = #read;
                                #call
                            },
                        )
                    }
                });
            }
            Trigger::Timer { .. } => {
                let index = timers.len() as u32;
                timers.push(quote!(#index => #call,));
            }
            Trigger::Window { .. } => {}
        }
    }
    timers.extend(window::arms(&plan.handlers, &plan.owner));
    (inputs, timers)
}
