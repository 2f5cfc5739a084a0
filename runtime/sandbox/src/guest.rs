//! The guest's exports: their names in the contract, and what is called.

use crate::describe::wire::Description;
use crate::wire::{BatchRef, Effects, Failure, TimerBatchRef};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc,
};
use wasmtime::{Error, Store};

/// The interface that a UDF exports. wasmtime also finds it at a later 0.1 version.
pub(crate) const GUEST: &str = "millstream:udf/guest@0.1.0";

/// What `process` and `on-timer` return.
pub(crate) type Answer = (Result<Effects, Failure>,);

/// Where a component has the guest's functions.
#[derive(Clone)]
pub(crate) struct Exports {
    describe: ComponentExportIndex,
    process: ComponentExportIndex,
    on_timer: ComponentExportIndex,
}

/// The guest's functions in an instance.
pub(crate) struct Functions {
    pub describe: TypedFunc<(), (Description,)>,
    pub process: TypedFunc<(BatchRef<'static>,), Answer>,
    pub on_timer: TypedFunc<(TimerBatchRef<'static>,), Answer>,
}

impl Exports {
    /// Finds the functions; the error is the name that is missing.
    pub fn find(component: &Component) -> Result<Self, &'static str> {
        let guest = component.get_export_index(None, GUEST).ok_or(GUEST)?;
        let function = |name| component.get_export_index(Some(&guest), name).ok_or(name);
        Ok(Self {
            describe: function("describe")?,
            process: function("process")?,
            on_timer: function("on-timer")?,
        })
    }

    /// Takes the functions from an instance; the error says which has another type.
    pub fn of<T: 'static>(
        &self,
        store: &mut Store<T>,
        instance: &Instance,
    ) -> Result<Functions, (&'static str, Error)> {
        Ok(Functions {
            describe: typed(store, instance, &self.describe, "describe")?,
            process: typed(store, instance, &self.process, "process")?,
            on_timer: typed(store, instance, &self.on_timer, "on-timer")?,
        })
    }
}

fn typed<T: 'static, P, R>(
    store: &mut Store<T>,
    instance: &Instance,
    index: &ComponentExportIndex,
    name: &'static str,
) -> Result<TypedFunc<P, R>, (&'static str, Error)>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, index).map_err(|e| (name, e))
}
