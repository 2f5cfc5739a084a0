//! Asks the control API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use bytes::Bytes;
use millstream_log::connect::Connection;

use crate::api::modules::{Push, Pushed};
use crate::api::node::Info;
use crate::api::pipelines::ManifestText;
use crate::api::{NODE_SUBJECT_PREFIX, Operation, PROBLEMS_HEADER, SUBJECT_PREFIX};
use crate::errors::{self, Code};
use crate::manifest::{Document, ModuleRef};
use crate::problem::{Problem, Problems};
use crate::registry::{Stores, check_module_size};

/// A typed client. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    timeout: Duration,
    prefix: String,
}

impl Client {
    /// On a connection; every call takes at most `timeout`.
    pub fn new(connection: Connection, timeout: Duration) -> Self {
        Client { connection, timeout, prefix: SUBJECT_PREFIX.to_owned() }
    }

    /// Asks one node what it alone knows ([`crate::api::local`]).
    pub fn of_node(connection: Connection, timeout: Duration, identity: &str) -> Self {
        Client { connection, timeout, prefix: format!("{NODE_SUBJECT_PREFIX}.{identity}") }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the node refused; MS1401 if no node answers, MS1402 if not in time, MS1403 without a connection.
    pub async fn call<O: Operation>(&self, request: &O) -> Result<O::Response, Problems> {
        let payload = serde_json::to_vec(request).map_err(|error| {
            Problem::new(
                errors::BAD_REQUEST,
                format!("the request {} cannot be written: {error}", O::NAME),
            )
        })?;
        let subject = format!("{}.{}", self.prefix, O::NAME);
        let message =
            async_nats::Request::new().payload(payload.into()).timeout(Some(self.timeout));
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
