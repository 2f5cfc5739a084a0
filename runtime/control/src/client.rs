//! Asks the control API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::client::RequestErrorKind;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use bytes::Bytes;
use millstream_log::connect::Connection;
use tokio::sync::Mutex;

use crate::access::SigningKey;
use crate::access::signature::{self, Audience};
use crate::api::access::{Identified, Identity};
use crate::api::modules::{Push, Pushed};
use crate::api::node::Info;
use crate::api::pipelines::ManifestText;
use crate::api::{NODE_SUBJECT_PREFIX, Operation, PROBLEMS_HEADER, SUBJECT_PREFIX};
use crate::clock;
use crate::errors::{self, Code};
use crate::manifest::{Document, ModuleRef};
use crate::problem::{Problem, Problems};
use crate::registry::{Stores, check_module_size};

/// How often a request is signed anew because another node answers now.
const SIGNED_MAX: u32 = 4;

/// Looks at the cluster that answers before anything is signed for it.
pub type ClusterCheck = Box<dyn Fn(&Identified) -> Result<(), Problem> + Send + Sync>;

/// Signs requests for the node that answers.
pub struct Signer {
    key: SigningKey,
    /// None: there is nobody to ask, the audience is known or nothing can be signed.
    check: Option<ClusterCheck>,
    audience: Mutex<Option<Audience>>,
}

impl Signer {
    /// Of a user. `check` decides whether to sign for the cluster that says it answers.
    pub fn new(key: SigningKey, check: ClusterCheck) -> Self {
        Signer { key, check: Some(check), audience: Mutex::default() }
    }

    /// Of a node, for another node whose number is known from its lease.
    pub fn for_node(key: SigningKey, audience: Option<Audience>) -> Self {
        Signer { key, check: None, audience: Mutex::new(audience) }
    }
}

/// A typed client. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    timeout: Duration,
    prefix: String,
    signer: Option<Arc<Signer>>,
}

impl Client {
    /// On a connection; every call takes at most `timeout`. Requests are not signed.
    pub fn new(connection: Connection, timeout: Duration) -> Self {
        Client { connection, timeout, prefix: SUBJECT_PREFIX.to_owned(), signer: None }
    }

    /// Asks one node what it alone knows ([`crate::api::local`]).
    pub fn of_node(connection: Connection, timeout: Duration, identity: &str) -> Self {
        let prefix = format!("{NODE_SUBJECT_PREFIX}.{identity}");
        Client { connection, timeout, prefix, signer: None }
    }

    /// The same, with every request signed.
    #[must_use]
    pub fn signed(mut self, signer: Arc<Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the node refused; MS1401 if no node answers, MS1402 if not in time, MS1403 without a connection, MS1607 if the
    /// cluster is not the one that was expected.
    pub async fn call<O: Operation>(&self, request: &O) -> Result<O::Response, Problems> {
        let payload = serde_json::to_vec(request).map_err(|error| {
            Problem::new(
                errors::BAD_REQUEST,
                format!("the request {} cannot be written: {error}", O::NAME),
            )
        })?;
        let payload = Bytes::from(payload);
        let Some(signer) = &self.signer else {
            return self.exchange::<O>(payload, HeaderMap::new()).await;
        };
        for _ in 1..SIGNED_MAX {
            let headers = self.signature(signer, O::NAME, &payload).await?;
            let answer = self.exchange::<O>(payload.clone(), headers).await;
            match answer {
                Err(problems)
                    if problems.has(errors::SIGNED_FOR_ANOTHER) && signer.check.is_some() =>
                {
                    *signer.audience.lock().await = None;
                }
                answer => return answer,
            }
        }
        let headers = self.signature(signer, O::NAME, &payload).await?;
        self.exchange::<O>(payload, headers).await
    }

    /// The headers of a signed request. None if whoever answers cannot say for whom to sign: a runtime of an older version, or none.
    async fn signature(
        &self,
        signer: &Signer,
        operation: &str,
        payload: &[u8],
    ) -> Result<HeaderMap, Problems> {
        let mut audience = signer.audience.lock().await;
        if let (None, Some(check)) = (&*audience, &signer.check) {
            let asked = self.exchange::<Identity>(Bytes::new(), HeaderMap::new()).await;
            match asked {
                Ok(identified) => {
                    check(&identified)?;
                    let Identified { cluster, incarnation, .. } = identified;
                    *audience = Some(Audience { cluster, incarnation });
                }
                Err(problems) if problems.has(errors::NO_NODE) => {}
                Err(problems) => return Err(problems),
            }
        }
        let Some(audience) = &*audience else { return Ok(HeaderMap::new()) };
        let (now, random) = (clock::now_ms(), clock::random_bytes());
        Ok(signature::sign(&signer.key, audience, operation, payload, now, random))
    }

    /// Sends a request and reads the answer.
    async fn exchange<O: Operation>(
        &self,
        payload: Bytes,
        headers: HeaderMap,
    ) -> Result<O::Response, Problems> {
        let subject = format!("{}.{}", self.prefix, O::NAME);
        let mut message = async_nats::Request::new().payload(payload).timeout(Some(self.timeout));
        if !headers.is_empty() {
            message = message.headers(headers);
        }
        let answer = self.connection.client().send_request(subject, message).await;
        let answer = answer.map_err(|error| self.no_answer(O::NAME, error.kind(), &error))?;
        if let Some(headers) = &answer.headers
            && let Some(status) = headers.get(NATS_SERVICE_ERROR)
        {
            let sent = headers
                .get(PROBLEMS_HEADER)
                .and_then(|json| serde_json::from_str::<Problems>(json.as_str()).ok());
            let code =
                headers.get(NATS_SERVICE_ERROR_CODE).map(|code| code.as_str()).unwrap_or_default();
            return Err(sent.unwrap_or_else(|| {
                Problem::new(
                    errors::BAD_RESPONSE,
                    format!("the node refused {}: {status} ({code})", O::NAME),
                )
                .into()
            }));
        }
        serde_json::from_slice(&answer.payload).map_err(|error| {
            Problem::new(errors::BAD_RESPONSE, format!("the answer to {} was not understood: {error}", O::NAME))
                .help("client and node may be of different versions: compare `millstream --version` and `millstream info`")
                .into()
        })
    }

    fn no_answer(
        &self,
        operation: &str,
        kind: RequestErrorKind,
        error: &dyn std::fmt::Display,
    ) -> Problem {
        let server = self.connection.options().shown_servers();
        match kind {
            RequestErrorKind::NoResponders => {
                Problem::new(errors::NO_NODE, format!("no millstream runtime answers on {server}"))
                    .help("start one with `millstream run` or `millstream dev`")
            }
            RequestErrorKind::TimedOut => {
                let message =
                    format!("no answer to {operation} within {} ms", self.timeout.as_millis());
                Problem::new(errors::NO_ANSWER, message)
                    .help("it may have been done: look with `millstream get`, or repeat with a larger `--timeout`")
            }
            _ => Problem::new(
                errors::NO_NATS,
                format!("{operation} could not be sent to {server}: {error}"),
            )
            .help("`millstream doctor` checks the connection"),
        }
    }

    /// Uploads a module's bytes and registers them. `unnamed` registers them by digest alone.
    ///
    /// # Errors
    /// As [`Client::call`]; MS1305 if the node takes no module of this size, MS1406 if the bytes cannot be stored.
    pub async fn push(&self, bytes: Bytes, by: &str, unnamed: bool) -> Result<Pushed, Problems> {
        // Nothing is stored that no node will register.
        let size_max = self.call(&Info {}).await?.module_size_max;
        check_module_size(bytes.len() as u64, size_max)?;
        let store = Stores::uploads(&self.connection, 1).await?;
        let digest = store.put(bytes).await.map_err(|error| {
            Problem::new(errors::STORAGE, error.to_string())
                .help("`millstream doctor` checks JetStream")
        })?;
        self.call(&Push { digest: digest.to_string(), by: by.to_owned(), unnamed }).await
    }

    /// A manifest as the node takes it: the `modules` that it names by file ([`read_module_files`]) are pushed first.
    ///
    /// # Errors
    /// As [`Client::push`], at the places of the modules.
    pub async fn upload(
        &self,
        document: &Document,
        modules: BTreeMap<String, Bytes>,
        by: &str,
    ) -> Result<ManifestText, Problems> {
        let mut files = BTreeMap::new();
        for (stage, bytes) in modules {
            let pushed = self.push(bytes, by, true).await.map_err(|problems| {
                let place = document.at(&format!("stages.{stage}.module"));
                // Nobody finds out about a node or a store by looking at a line.
                let placed = problems.0.into_iter().map(|problem| match problem.code {
                    Code(1400..1500) => problem,
                    _ => problem.at(place.clone()),
                });
                Problems(placed.collect())
            })?;
            files.insert(stage, pushed.module.digest);
        }
        Ok(ManifestText { file: document.file.clone(), text: document.text.clone(), files })
    }
}

/// The bytes of the modules that a manifest names by file, per stage. `locate` says where a file of the manifest is.
///
/// # Errors
/// MS1111 for all files that cannot be read, at their places.
pub fn read_module_files(
    document: &Document,
    locate: impl Fn(&Path) -> PathBuf,
) -> Result<BTreeMap<String, Bytes>, Problems> {
    let (mut files, mut problems) = (BTreeMap::new(), Vec::new());
    for (stage, wanted) in &document.manifest.stages {
        let ModuleRef::File { file } = &wanted.module else { continue };
        let path = locate(Path::new(file));
        match std::fs::read(&path) {
            Ok(bytes) => {
                files.insert(stage.clone(), Bytes::from(bytes));
            }
            Err(error) => problems.push(
                Problem::new(errors::MODULE_FILE, format!("cannot read {}: {error}", path.display()))
                    .help("build the module, or correct the path; it is relative to the manifest's folder")
                    .at(document.at(&format!("stages.{stage}.module.file"))),
            ),
        }
    }
    Problems::refuse(problems)?;
    Ok(files)
}
