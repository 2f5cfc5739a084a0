//! From a wasm file to a module that can be called.

use crate::cache::Cache;
use crate::error::{ModuleError, SandboxError};
use crate::guest::{Exports, GUEST};
use crate::host::{Granted, Host};
use crate::limits::{FAULT_BYTES, FUEL_TO_START, Limits, MODULE_BYTES_MAX, TRANSFER_BYTES};
use crate::module::{Inner, Module};
use crate::observer::Unobserved;
use crate::{describe, engine, fault, imports, interfaces, text, wasi};
use millstream_core::description::Description;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::{Arc, mpsc};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};

/// Stack of the thread that compiles: the compiler recurses over what it is given.
const COMPILE_STACK_BYTES: usize = 16 << 20;
/// Names of exports that a message lists.
const NAMES_BYTES: usize = 1 << 10;

/// The WebAssembly engine of a process with its limits. Make one.
pub struct Sandbox {
    engine: Engine,
    limits: Limits,
    cache: Option<Cache>,
}

impl Sandbox {
    /// A sandbox that keeps compiled code in `cache_folder`, if one is given.
    ///
    /// # Errors
    ///
    /// A limit is impossible, the machine refuses the engine's needs (addresses, above
    /// all), or the folder cannot be made.
    pub fn new(limits: Limits, cache_folder: Option<&Path>) -> Result<Self, SandboxError> {
        let most = |name, value, most| {
            if value > most { Err(SandboxError::Limit { name, value, most }) } else { Ok(()) }
        };
        most("module_bytes", limits.module_bytes, MODULE_BYTES_MAX)?;
        most("memory_bytes", limits.memory_bytes, 4 << 30)?;
        let engine = engine::new(&limits)?;
        let cache = cache_folder.map(|folder| Cache::open(folder, &engine)).transpose()?;
        Ok(Self { engine, limits, cache })
    }

    /// Compiles a component and checks that it is a UDF. Blocks for as long as that takes: seconds for
    /// interpreters, so not on a thread that drives others.
    ///
    /// Compiling runs on a thread of its own. If it takes longer than the limit, this returns an
    /// error and the thread goes on until it is done: a compiler cannot be interrupted in-process.
    ///
    /// # Errors
    ///
    /// Why the file is no UDF that can run here.
    pub fn compile(&self, wasm: &[u8]) -> Result<Module, ModuleError> {
        check_format(wasm, &self.limits)?;
        let digest: [u8; 32] = Sha256::digest(wasm).into();
        let component = match self.load(&digest) {
            Some(component) => component,
            None => self.translate(wasm, &digest)?,
        };
        let pre = self.link(&component)?;
        let exports = find_exports(&component, &self.engine)?;
        let description = self.describe(&pre, &exports)?;
        let limits = self.limits.clone();
        Ok(Module { inner: Arc::new(Inner { digest, description, pre, exports, limits }) })
    }

    /// Whether [`Sandbox::compile`] would find compiled code of this component in its folder, whoever put it there.
    pub fn holds(&self, wasm: &[u8]) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.holds(&Sha256::digest(wasm).into()))
    }

    fn load(&self, digest: &[u8; 32]) -> Option<Component> {
        let code = self.cache.as_ref()?.load(digest)?;
        // SAFETY: the code came out of `precompile_component` of an engine with the same
        // compatibility hash, into our own folder, and has the hash it was stored with.
        match unsafe { Component::deserialize(&self.engine, &code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "compiled code does not fit and is made again"
                );
                None
            }
        }
    }

    fn translate(&self, wasm: &[u8], digest: &[u8; 32]) -> Result<Component, ModuleError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (engine, wasm) = (self.engine.clone(), wasm.to_vec());
        std::thread::Builder::new()
            .name("millstream-compile".into())
            .stack_size(COMPILE_STACK_BYTES)
            .spawn(move || {
                // Nobody may be waiting any more.
                let _ = sender.send(Component::from_binary(&engine, &wasm));
            })
            .map_err(|e| ModuleError::Host(e.to_string()))?;
        let limit = self.limits.compile_time;
        let component = match receiver.recv_timeout(limit) {
            Ok(compiled) => compiled.map_err(|e| ModuleError::Invalid(told(&e)))?,
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(ModuleError::CompileTime { limit }),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(ModuleError::Invalid("the compiler panicked over it".into()));
            }
        };
        if let Some(cache) = &self.cache {
            match component.serialize() {
                Ok(code) => cache.store(digest, &code),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "compiled code cannot be kept")
                }
            }
        }
        Ok(component)
    }

    fn link(&self, component: &Component) -> Result<InstancePre<Host>, ModuleError> {
        for (name, _) in component.component_type().imports(&self.engine) {
            interfaces::check_import(name)?;
        }
        let internal = |e: wasmtime::Error| ModuleError::Host(format!("{e:#}"));
        let mut linker = Linker::new(&self.engine);
        imports::define(&mut linker).map_err(internal)?;
        wasi::define(&mut linker, component).map_err(internal)?;
        linker
            .instantiate_pre(component)
            .map_err(|e| ModuleError::WrongType { name: "an import".into(), reason: told(&e) })
    }

    /// Asks the guest what it is. It has no configuration at this time.
    fn describe(
        &self,
        pre: &InstancePre<Host>,
        exports: &Exports,
    ) -> Result<Description, ModuleError> {
        let nothing = Description::default();
        let mut host =
            Host::new(self.limits.memory_bytes, "{}".into(), &nothing, Box::new(Unobserved));
        host.granted = Granted::to_describe();
        host.begin(0, false, 0, None);
        let mut store = new_store(&self.engine, host, FUEL_TO_START);
        let failed = |store: &mut Store<Host>, error: wasmtime::Error| {
            let text = fault::describe(&error, store.data_mut(), FUEL_TO_START);
            if fault::is_host(&error) {
                ModuleError::Host(text)
            } else {
                ModuleError::Describe(text)
            }
        };
        let instance = pre.instantiate(&mut store).map_err(|e| {
            let error = fault::of_instantiation(e, store.data());
            failed(&mut store, error)
        })?;
        let functions = exports
            .of(&mut store, &instance)
            .map_err(|(name, e)| ModuleError::WrongType { name: name.into(), reason: told(&e) })?;
        let (description,) =
            functions.describe.call(&mut store, ()).map_err(|e| failed(&mut store, e))?;
        let description = Description::from(description);
        describe::check(&description).map_err(|fact| {
            ModuleError::Description(text::plain(&fact, FAULT_BYTES).into_owned())
        })?;
        Ok(description)
    }
}

/// An error about a file, whose names may be long.
fn told(error: &wasmtime::Error) -> String {
    text::plain(&format!("{error:#}"), FAULT_BYTES).into_owned()
}

/// A store with its limits set.
pub(crate) fn new_store(engine: &Engine, host: Host, fuel: u64) -> Store<Host> {
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.memory);
    store.set_hostcall_fuel(TRANSFER_BYTES);
    store.set_fuel(fuel).expect("the engine meters fuel");
    store
}

fn check_format(wasm: &[u8], limits: &Limits) -> Result<(), ModuleError> {
    if wasm.len() > limits.module_bytes {
        return Err(ModuleError::TooLarge { bytes: wasm.len(), limit: limits.module_bytes });
    }
    if Engine::detect_precompiled(wasm).is_some() {
        return Err(ModuleError::Precompiled);
    }
    // The second half of the version says whether it is a core module (0) or a component (1).
    match wasm {
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => Err(ModuleError::CoreModule),
        [b'\0', b'a', b's', b'm', ..] => Ok(()),
        _ => Err(ModuleError::NotWasm),
    }
}

fn find_exports(component: &Component, engine: &Engine) -> Result<Exports, ModuleError> {
    Exports::find(component).map_err(|missing| {
        if missing != GUEST {
            return ModuleError::WrongType {
                name: GUEST.into(),
                reason: format!("it has no function {missing}"),
            };
        }
        let names: Vec<String> =
            component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
        let found = if names.is_empty() { "nothing".into() } else { names.join(", ") };
        let found = text::plain(&found, NAMES_BYTES).into_owned();
        ModuleError::NoGuest { found, expected: GUEST }
    })
}
