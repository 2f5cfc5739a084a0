//! Modules on record: their bytes, what they say of themselves, and who owns a name and version.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use millstream_log::blobs::{BlobError, Blobs, Digest};
use millstream_log::kv::{Kv, KvError};
use millstream_sandbox::{Module, Sandbox};
use serde::{Deserialize, Serialize};

use super::{MODULES_BUCKET, UPLOADS_BUCKET, blob_storage, damaged, describe, storage};
use crate::api::modules::DescriptionInfo;
use crate::clock;
use crate::compiler::Compiler;
use crate::errors;
use crate::manifest::{ModuleRef, parse_module};
use crate::problem::Problem;

/// A module as recorded under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRecord {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// When it was pushed first, milliseconds since 1970 UTC.
    pub pushed_at_ms: i64,
    /// Who pushed it first.
    #[serde(default)]
    pub by: String,
    /// What it says of itself.
    pub description: DescriptionInfo,
}

/// How a module is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// By name and version.
    Named {
        /// The name.
        name: String,
        /// The version.
        version: String,
    },
    /// By a name that has one version.
    Name(String),
    /// By SHA-256, hexadecimal.
    Digest(String),
}

impl Reference {
    /// `name@version`, `name` or `sha256:DIGEST`.
    ///
    /// # Errors
    /// MS1014 if it is none of them.
    pub fn parse(text: &str) -> Result<Reference, Problem> {
        let is_name = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if is_name {
            return Ok(Reference::Name(text.to_owned()));
        }
        match parse_module(text) {
            Ok(ModuleRef::Named { name, version }) => Ok(Reference::Named { name, version }),
            Ok(ModuleRef::Digest { sha256 }) => Ok(Reference::Digest(sha256)),
            Ok(ModuleRef::File { .. }) | Err(_) => {
                Err(Problem::new(errors::INVALID_MODULE, format!("{text:?} names no module"))
                    .help("write `card-fraud@1.0.0`, `card-fraud` or `sha256:DIGEST`"))
            }
        }
    }
}

/// The registry of modules, and the ones compiled in this process.
pub struct Modules {
    records: Arc<dyn Kv>,
    bytes: Arc<dyn Blobs>,
    uploads: Arc<dyn Blobs>,
    sandbox: Arc<Sandbox>,
    compiler: Option<Arc<dyn Compiler>>,
    size_max: u64,
    // Weak: a module lives as long as a pipeline runs it.
    compiled: Mutex<HashMap<String, Weak<Module>>>,
}

impl Modules {
    /// Over the bucket and object store [`MODULES_BUCKET`], and `uploads`. Modules above `size_max` bytes are not even read. What the
    /// sandbox has no code of is compiled by `compiler` first; without one, in this process.
    pub fn new(
        records: Arc<dyn Kv>,
        bytes: Arc<dyn Blobs>,
        uploads: Arc<dyn Blobs>,
        sandbox: Arc<Sandbox>,
        compiler: Option<Arc<dyn Compiler>>,
        size_max: u64,
    ) -> Self {
        Modules { records, bytes, uploads, sandbox, compiler, size_max, compiled: Mutex::default() }
    }

    /// Largest module accepted, bytes.
    pub fn size_max(&self) -> u64 {
        self.size_max
    }

    /// Registers bytes that were uploaded: checks size and digest, compiles, describes, stores, records. With
    /// `named` the module also gets the name and version it says of itself, for ever. Returns the record and whether
    /// anything was new. What is registered or refused is an upload no longer.
    ///
    /// # Errors
    /// MS1302, MS1304, MS1305, MS1112, MS1115, MS1014, MS1406.
    pub async fn push(
        &self,
        digest: &str,
        by: &str,
        named: bool,
    ) -> Result<(ModuleRecord, bool), Problem> {
        let key = parse_digest(digest)?;
        if let Some(record) = self.record(digest).await? {
            // Bytes that were lost come back so.
            if self.bytes.size(&key).await.map_err(|error| blob_storage(&error))?.is_none() {
                self.store(self.upload(&key).await?).await?;
            }
            self.forget_upload(&key).await;
            let claimed = named && self.claim(&record).await?;
            return Ok((record, claimed));
        }
        let accepted = self.accept(&key, by).await;
        if accepted.as_ref().err().is_none_or(is_final) {
            self.forget_upload(&key).await;
        }
        let record = accepted?;
        if named && let Err(problem) = self.claim(&record).await {
            if problem.code == errors::MODULE_VERSION_TAKEN {
                self.remove(&record).await?;
            }
            return Err(problem);
        }
        Ok((record, true))
    }

    async fn accept(&self, key: &Digest, by: &str) -> Result<ModuleRecord, Problem> {
        let digest = key.to_string();
        self.check_size(key).await?;
        let bytes = self.upload(key).await?;
        let size = bytes.len() as u64;
        let module = self.compile(&digest, bytes.clone()).await?;
        self.store(bytes).await?;
        let description = module.description();
        let record = ModuleRecord {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: digest.clone(),
            size,
            pushed_at_ms: clock::now_ms(),
            by: by.to_owned(),
            description: describe(description),
        };
        let value = serde_json::to_vec(&record)
            .map_err(|error| damaged(MODULES_BUCKET, &digest, &error))?;
        match self.records.create(&digest_key(&digest), value.into(), None).await {
            // The same bytes, pushed twice at once.
            Ok(_) | Err(KvError::Exists { .. }) => Ok(record),
            Err(error) => Err(storage(&error)),
        }
    }

    async fn upload(&self, key: &Digest) -> Result<Bytes, Problem> {
        read(&*self.uploads, UPLOADS_BUCKET, key).await
    }

    async fn store(&self, bytes: Bytes) -> Result<(), Problem> {
        self.bytes.put(bytes).await.map(drop).map_err(|error| blob_storage(&error))
    }

    async fn forget_upload(&self, key: &Digest) {
        if let Err(error) = self.uploads.delete(key).await {
            tracing::warn!(digest = %key, %error, "an upload stays in its store");
        }
    }

    /// Gives the record its name and version. False if it had them.
    async fn claim(&self, record: &ModuleRecord) -> Result<bool, Problem> {
        let key = name_key(&record.name, &record.version);
        match self.records.create(&key, record.digest.clone().into(), None).await {
            Ok(_) => return Ok(true),
            Err(KvError::Exists { .. }) => {}
            Err(error) => return Err(storage(&error)),
        }
        let owner = self.records.get(&key).await.map_err(|error| storage(&error))?;
        match owner.map(|entry| entry.value) {
            Some(digest) if digest == record.digest.as_bytes() => Ok(false),
            owner => {
                let digest = owner
                    .map(|digest| String::from_utf8_lossy(&digest).into_owned())
                    .unwrap_or_default();
                let message = format!(
                    "{}@{} is registered with other bytes (sha256:{digest})",
                    record.name, record.version
                );
                Err(Problem::new(errors::MODULE_VERSION_TAKEN, message).help(format!(
                    "raise the version above {} in the module, build it and push again",
                    record.version
                )))
            }
        }
    }

    /// Refuses what is too large before it is read.
    async fn check_size(&self, key: &Digest) -> Result<(), Problem> {
        match self.uploads.size(key).await.map_err(|error| blob_storage(&error))? {
            None => Err(not_stored(UPLOADS_BUCKET, key)),
            Some(bytes) => check_module_size(bytes, self.size_max),
        }
    }

    /// Compiles, elsewhere if there is a compiler, and loads on a thread for blocking work: both take up to seconds.
    async fn compile(&self, digest: &str, bytes: Bytes) -> Result<Arc<Module>, Problem> {
        if let Some(compiler) = &self.compiler
            && !self.sandbox.holds(&bytes)
        {
            compiler.compile(bytes.clone()).await?;
        }
        let sandbox = Arc::clone(&self.sandbox);
        let compiled = tokio::task::spawn_blocking(move || sandbox.compile(&bytes)).await;
        let refusal = |message: String| {
            Problem::new(errors::MODULE_REFUSED, format!("the module was refused: {message}"))
                .help("build it with the Millstream SDK for wasm32-wasip2")
        };
        let module = match compiled {
            Ok(Ok(module)) => Arc::new(module),
            Ok(Err(error)) => return Err(refusal(error.to_string())),
            Err(panic) => return Err(refusal(format!("compiling it failed: {panic}"))),
        };
        let mut cache = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, module| module.strong_count() > 0);
        cache.insert(digest.to_owned(), Arc::downgrade(&module));
        Ok(module)
    }

    /// A registered module, compiled.
    ///
    /// # Errors
    /// MS1304, MS1112, MS1115, MS1406.
    pub async fn load(&self, digest: &str) -> Result<Arc<Module>, Problem> {
        let cached = self
            .compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .and_then(Weak::upgrade);
        if let Some(module) = cached {
            return Ok(module);
        }
        let bytes = read(&*self.bytes, MODULES_BUCKET, &parse_digest(digest)?).await?;
        self.compile(digest, bytes).await
    }

    /// The record under a digest.
    pub async fn record(&self, digest: &str) -> Result<Option<ModuleRecord>, Problem> {
        let key = digest_key(digest);
        let Some(entry) = self.records.get(&key).await.map_err(|error| storage(&error))? else {
            return Ok(None);
        };
        serde_json::from_slice(&entry.value)
            .map(Some)
            .map_err(|error| damaged(MODULES_BUCKET, &key, &error))
    }

    /// The record that a reference means.
    ///
    /// # Errors
    /// MS1301, MS1306, MS1406.
    pub async fn find(&self, reference: &Reference) -> Result<ModuleRecord, Problem> {
        let (digest, shown) = match reference {
            Reference::Digest(digest) => (Some(digest.clone()), format!("sha256:{digest}")),
            Reference::Named { name, version } => {
                (self.owner(name, version).await?, format!("{name}@{version}"))
            }
            Reference::Name(name) => (self.only_version(name).await?, name.clone()),
        };
        let record = match digest {
            Some(digest) => self.record(&digest).await?,
            None => None,
        };
        match record {
            Some(record) => Ok(record),
            None => Err(self.unknown(&shown, reference).await),
        }
    }

    async fn unknown(&self, shown: &str, reference: &Reference) -> Problem {
        let mut problem =
            Problem::new(errors::MODULE_UNKNOWN, format!("there is no module {shown}"));
        problem.help = Some("`millstream module ls` lists modules".to_owned());
        if let Reference::Named { name, .. } = reference
            && let Ok(versions) = self.versions(name).await
            && !versions.is_empty()
        {
            problem.help = Some(format!("there are the versions {}", versions.join(", ")));
        }
        problem
    }

    async fn owner(&self, name: &str, version: &str) -> Result<Option<String>, Problem> {
        if !is_key_text(name) || !is_key_text(&version.replace('+', "=")) {
            return Ok(None);
        }
        let entry =
            self.records.get(&name_key(name, version)).await.map_err(|error| storage(&error))?;
        Ok(entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned()))
    }

    async fn versions(&self, name: &str) -> Result<Vec<String>, Problem> {
        let prefix = name_key(name, "");
        let keys = self.records.keys(&prefix).await.map_err(|error| storage(&error))?;
        Ok(keys
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(|version| version.replace('=', "+"))
            .collect())
    }

    async fn only_version(&self, name: &str) -> Result<Option<String>, Problem> {
        let versions = self.versions(name).await?;
        match versions.as_slice() {
            [] => Ok(None),
            [version] => self.owner(name, version).await,
            _ => {
                let message = format!("the module {name} has the versions {}", versions.join(", "));
                Err(Problem::new(errors::MODULE_AMBIGUOUS, message)
                    .help(format!("add the version: `{name}@{}`", versions[0])))
            }
        }
    }

    /// All records with whether they own their name and version; by name and version, unnamed ones last.
    pub async fn list(&self) -> Result<Vec<(ModuleRecord, bool)>, Problem> {
        let mut owners = BTreeMap::new();
        for key in self.records.keys("name.").await.map_err(|error| storage(&error))? {
            if let Some(entry) = self.records.get(&key).await.map_err(|error| storage(&error))? {
                owners.insert(entry.value, ());
            }
        }
        let mut records = Vec::new();
        for key in self.records.keys("digest.").await.map_err(|error| storage(&error))? {
            if let Some(record) = self.record(key.trim_start_matches("digest.")).await? {
                let named = owners.contains_key(record.digest.as_bytes());
                records.push((record, named));
            }
        }
        records.sort_by(|(a, a_named), (b, b_named)| {
            let order = |record: &ModuleRecord, named: bool| {
                (!named, record.name.clone(), record.version.clone())
            };
            order(a, *a_named).cmp(&order(b, *b_named))
        });
        Ok(records)
    }

    /// Whether the record owns its name and version.
    pub async fn is_named(&self, record: &ModuleRecord) -> Result<bool, Problem> {
        Ok(self
            .owner(&record.name, &record.version)
            .await?
            .is_some_and(|digest| digest == record.digest))
    }

    /// Removes a module: its name, its record, its bytes. The caller has checked that nothing runs it.
    pub async fn remove(&self, record: &ModuleRecord) -> Result<(), Problem> {
        if self.is_named(record).await? {
            let key = name_key(&record.name, &record.version);
            self.records.delete(&key, None).await.map_err(|error| storage(&error))?;
        }
        self.records
            .delete(&digest_key(&record.digest), None)
            .await
            .map_err(|error| storage(&error))?;
        let digest = parse_digest(&record.digest)?;
        self.bytes.delete(&digest).await.map_err(|error| blob_storage(&error))
    }
}

/// Whether the same bytes would be refused again.
fn is_final(problem: &Problem) -> bool {
    use errors::{COMPILE_LIMIT, MODULE_REFUSED, MODULE_TOO_LARGE};
    matches!(problem.code, MODULE_REFUSED | MODULE_TOO_LARGE | COMPILE_LIMIT)
}

async fn read(store: &dyn Blobs, name: &str, key: &Digest) -> Result<Bytes, Problem> {
    store.get(key).await.map_err(|error| match error {
        BlobError::Store { .. } => blob_storage(&error),
        BlobError::Missing { .. } => not_stored(name, key),
        error => Problem::new(errors::MODULE_NOT_STORED, error.to_string())
            .help("push the file again with `millstream module push`"),
    })
}

/// Refuses a module of more than `size_max` bytes.
///
/// # Errors
/// MS1305.
pub fn check_module_size(size: u64, size_max: u64) -> Result<(), Problem> {
    if size <= size_max {
        return Ok(());
    }
    Err(Problem::new(
        errors::MODULE_TOO_LARGE,
        format!("the module has {size} bytes, at most {size_max} are allowed"),
    )
    .help("build with `--release`, `opt-level = \"s\"` and `strip = true`; nodes take more with `--module-mib`"))
}

fn not_stored(store: &str, key: &Digest) -> Problem {
    Problem::new(
        errors::MODULE_NOT_STORED,
        format!("the object store {store} holds no module sha256:{key}"),
    )
    .help("push the file again with `millstream module push`")
}

fn parse_digest(digest: &str) -> Result<Digest, Problem> {
    digest.parse().map_err(|error: millstream_log::blobs::DigestError| {
        Problem::new(errors::INVALID_MODULE, error.to_string())
            .help("`millstream module ls` shows digests")
    })
}

fn digest_key(digest: &str) -> String {
    format!("digest.{digest}")
}

/// Keys of buckets have no `+`, which versions may have; and no `=` is in either.
fn name_key(name: &str, version: &str) -> String {
    format!("name.{name}.{}", version.replace('+', "="))
}

/// Whether a text of the user's may be part of a key; nothing else can have been registered.
fn is_key_text(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'='))
}
