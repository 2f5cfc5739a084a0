//! The configuration file of a private server.

use std::path::{Path, PathBuf};

use super::ServerError;

/// When the server forces what it stored onto the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncInterval {
    /// The server's default: every two minutes. A crash of the machine may lose acknowledged records.
    #[default]
    Default,
    /// Before each acknowledgement.
    Always,
}

/// How to run a private server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Folder for store, configuration and log; `None`: a temporary one, removed at the end.
    pub folder: Option<PathBuf>,
    /// Port on 127.0.0.1; `None`: a free one.
    pub port: Option<u16>,
    /// Largest message in bytes; `None`: the server's default of 1 MiB. Above 8 MiB the server warns.
    pub payload_bytes_max: Option<usize>,
    /// When to sync.
    pub sync_interval: SyncInterval,
    /// Further lines of configuration: accounts, users, TLS, a cluster.
    pub extra: String,
}

/// Writes the configuration for a port (0: any) and returns the file's path.
pub(super) fn write(
    folder: &Path,
    options: &ServerOptions,
    port: u16,
) -> Result<PathBuf, ServerError> {
    let store = folder.join("jetstream");
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| ServerError::File { path, source }
    };
    std::fs::create_dir_all(&store).map_err(failed(&store))?;
    let path = folder.join("nats-server.conf");
    std::fs::write(&path, text(&store, options, port)).map_err(failed(&path))?;
    Ok(path)
}

fn text(store: &Path, options: &ServerOptions, port: u16) -> String {
    // The server writes -1 for "any free port".
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    let sync = match options.sync_interval {
        SyncInterval::Default => "",
        SyncInterval::Always => "  sync_interval: always\n",
    };
    let payload = match options.payload_bytes_max {
        // What waits for a client must hold at least a few messages.
        Some(bytes) => {
            format!("max_payload: {bytes}\nmax_pending: {}\n", (bytes * 8).max(64 << 20))
        }
        None => String::new(),
    };
    // JSON strings are strings of the server's format as well.
    let store = serde_json::Value::from(store.display().to_string());
    format!(
        "host: 127.0.0.1\nport: {port}\n{payload}jetstream {{\n  store_dir: {store}\n{sync}}}\n{}\n",
        options.extra
    )
}
