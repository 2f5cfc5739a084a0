//! What a handler takes beyond its record: each argument asks for an ability.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{FnArg, Ident, PatType, Type};

use super::settings::Settings;

/// What an argument stands for.
#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    State,
    /// Broadcast state, to be changed or not.
    Broadcast {
        mutable: bool,
    },
    Outputs,
    Context,
    FiredContext,
    Random,
    Metrics,
    Config,
}

/// An argument behind the record.
pub struct Argument {
    pub role: Role,
    /// Its type behind the `&`.
    pub ty: Type,
}

/// Where a handler stands.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    Record,
    Broadcast,
    Timer,
    Window,
}

impl Place {
    /// The context of a handler in this place, as it is taken.
    fn context(self) -> &'static str {
        match self {
            Self::Record => "&mut Context",
            Self::Broadcast => "&mut BroadcastContext",
            Self::Timer => "&mut TimerContext",
            Self::Window => "&FiredContext",
        }
    }
}

/// The last name of a type's path.
fn last_name(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

/// Whether two types are written with the same last name.
fn same_name(a: &Type, b: &Type) -> bool {
    matches!((last_name(a), last_name(b)), (Some(a), Some(b)) if a == b)
}

/// The pattern and type of an argument that is not `self`.
pub fn typed(argument: &FnArg) -> syn::Result<&PatType> {
    match argument {
        FnArg::Typed(argument) => Ok(argument),
        FnArg::Receiver(receiver) => Err(syn::Error::new_spanned(receiver, "`self` comes first")),
    }
}

/// Classifies an argument.
pub fn classify(
    argument: &PatType,
    settings: &Settings,
    place: Place,
    config: bool,
) -> syn::Result<Argument> {
    let error = |message: String| Err(syn::Error::new_spanned(&argument.ty, message));
    let Type::Reference(reference) = &*argument.ty else {
        return error(format!(
            "a handler takes what it uses by reference: {}",
            known(settings, place, config)
        ));
    };
    let ty = &*reference.elem;
    let name = last_name(ty).map(Ident::to_string).unwrap_or_default();
    let is =
        |declared: &Option<Type>| declared.as_ref().is_some_and(|declared| same_name(declared, ty));
    let role = match &name[..] {
        "Context" | "TimerContext" | "FiredContext" | "BroadcastContext" => {
            let wanted = place.context();
            if !wanted.ends_with(&format!(" {name}")) && !wanted.ends_with(&format!("&{name}")) {
                return error(format!(
                    "this handler takes `{wanted}`, which grants what is allowed here"
                ));
            }
            if place == Place::Window { Role::FiredContext } else { Role::Context }
        }
        "Random" => Role::Random,
        "Metrics" => Role::Metrics,
        _ if is(&settings.state) && place == Place::Broadcast => {
            return error(format!(
                "a broadcast record belongs to no key, so there is no `{name}`; it changes what `#[udf(broadcast = T)]` names"
            ));
        }
        _ if is(&settings.state) => Role::State,
        _ if is(&settings.broadcast) => Role::Broadcast { mutable: place == Place::Broadcast },
        _ if is(&settings.outputs) || name == "Emit" => Role::Outputs,
        _ if config && reference.mutability.is_none() => Role::Config,
        _ => {
            return error(format!(
                "`{name}` is nothing a handler can take; it can take {}. If `{name}` is the state or the outputs, say so: \
                 `#[udf(state = {name})]` or `#[udf(outputs = {name})]`",
                known(settings, place, config)
            ));
        }
    };
    let mutable = !matches!(
        role,
        Role::Metrics | Role::Config | Role::FiredContext | Role::Broadcast { mutable: false }
    );
    if reference.mutability.is_some() != mutable {
        return error(format!("take it as `&{}{name}`", if mutable { "mut " } else { "" }));
    }
    Ok(Argument { role, ty: ty.clone() })
}

fn known(settings: &Settings, place: Place, config: bool) -> String {
    let named =
        |ty: &Option<Type>| ty.as_ref().and_then(last_name).map(|name| format!("`&mut {name}`"));
    let shared = |ty: &Option<Type>| {
        let name = ty.as_ref().and_then(last_name);
        name.map(|name| match place {
            Place::Broadcast => format!("`&mut {name}`"),
            _ => format!("`&{name}`"),
        })
    };
    let state = if place == Place::Broadcast { None } else { named(&settings.state) };
    let mut known: Vec<String> = [state, shared(&settings.broadcast), named(&settings.outputs)]
        .into_iter()
        .flatten()
        .collect();
    known.push(format!("`{}`", place.context()));
    known.push("`&mut Random`".into());
    if config {
        known.push("its configuration as `&C`".into());
    }
    format!("{} and `&Metrics`", known.join(", "))
}

impl Argument {
    /// The expression to pass.
    pub fn pass(&self) -> TokenStream {
        let span = self.ty.span();
        match self.role {
            Role::State => quote_spanned!(span=> state),
            Role::Broadcast { .. } => quote_spanned!(span=> broadcast),
            Role::Outputs => quote_spanned!(span=> outputs),
            Role::Context => quote_spanned!(span=> context),
            Role::FiredContext => quote_spanned!(span=> &fired),
            Role::Random => quote_spanned!(span=> &mut context.random()),
            Role::Metrics => quote_spanned!(span=> &::millstream_udf::Metrics::granted()),
            Role::Config => quote_spanned!(span=> &self.config),
        }
    }
}
