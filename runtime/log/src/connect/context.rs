//! The contexts of the `nats` CLI: `nats/context/NAME.json` in the user's configuration folder, the
//! selected one named in `nats/context.txt`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is none of that name.
    #[error("no context {name} in {folder} (there are: {known})")]
    Missing {
        /// The name.
        name: String,
        /// Where it was looked for.
        folder: String,
        /// Those that exist.
        known: String,
    },
    /// Not a name of a context.
    #[error("{name:?} is not a name of a context")]
    Name {
        /// The text.
        name: String,
    },
    /// Neither `XDG_CONFIG_HOME` nor `HOME` is set.
    #[error("context {name} cannot be found: neither XDG_CONFIG_HOME nor HOME is set")]
    NoHome {
        /// The name.
        name: String,
    },
    /// It cannot be read.
    #[error("context file {path}")]
    File {
        /// Its path.
        path: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// It is not what the `nats` CLI writes.
    #[error("context file {path} is not a context of the nats CLI: {description}")]
    Format {
        /// Its path.
        path: String,
        /// What is wrong; never a value of the file.
        description: String,
    },
    /// It asks for something that Millstream does not do.
    #[error(
        "context {name} uses {what}, which is not supported; use a creds file, an nkey, a user or a token"
    )]
    Unsupported {
        /// The name.
        name: String,
        /// The setting.
        what: &'static str,
    },
}

/// What a context file holds, as far as it is used here. Not `Debug`: it holds secrets.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ContextFile {
    #[serde(skip)]
    pub name: String,
    pub url: String,
    pub user: String,
    pub password: String,
    pub creds: String,
    pub nkey: String,
    pub token: String,
    pub cert: String,
    pub key: String,
    pub ca: String,
    pub tls_first: bool,
    pub jetstream_domain: String,
    pub jetstream_api_prefix: String,
    pub inbox_prefix: String,
    nsc: String,
    socks_proxy: String,
    user_jwt: String,
}

impl ContextFile {
    /// The context of that name.
    pub fn read(folder: &Path, name: &str) -> Result<ContextFile, ContextError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
            return Err(ContextError::Name { name: name.to_owned() });
        }
        let path = folder.join("context").join(format!("{name}.json"));
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ContextError::Missing {
                    name: name.to_owned(),
                    folder: folder.join("context").display().to_string(),
                    known: known(folder),
                });
            }
            Err(source) => {
                return Err(ContextError::File { path: path.display().to_string(), source });
            }
        };
        let mut file: ContextFile =
            serde_json::from_slice(&text).map_err(|error| ContextError::Format {
                path: path.display().to_string(),
                description: format!("line {}, column {}", error.line(), error.column()),
            })?;
        name.clone_into(&mut file.name);
        Ok(file)
    }

    /// The selected context, if one is selected.
    pub fn selected(folder: &Path) -> Result<Option<ContextFile>, ContextError> {
        let path = folder.join("context.txt");
        match std::fs::read_to_string(&path) {
            Ok(name) if name.trim().is_empty() => Ok(None),
            Ok(name) => ContextFile::read(folder, name.trim()).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ContextError::File { path: path.display().to_string(), source }),
        }
    }

    /// A setting that would be needed to connect and is not supported.
    pub fn unsupported(&self) -> Option<&'static str> {
        if !self.nsc.is_empty() {
            Some("nsc")
        } else if !self.socks_proxy.is_empty() {
            Some("socks_proxy")
        } else if !self.user_jwt.is_empty() {
            Some("user_jwt")
        } else if ["op://", "nsc://", "env://", "data:"]
            .iter()
            .any(|scheme| self.creds.starts_with(scheme))
        {
            Some("creds behind a URL")
        } else {
            None
        }
    }
}

/// Names of the contexts that there are.
fn known(folder: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(folder.join("context")) else { return "none".to_owned() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    names.sort();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Where the `nats` CLI keeps its configuration: `$XDG_CONFIG_HOME/nats` or `~/.config/nats`. `env` reads a variable.
pub fn default_config_folder(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    env("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|home| Path::new(&home).join(".config")))
        .map(|config| config.join("nats"))
}
