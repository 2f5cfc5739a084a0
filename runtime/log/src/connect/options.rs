//! Where to connect and as whom.

use std::fmt;
use std::path::{Path, PathBuf};

use super::context::{ContextFile, default_config_folder};
use super::login::Login;
use super::{ConnectError, ContextError};

/// Where to connect when nothing says otherwise.
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// Something that never appears in logs or messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret, for whom it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// As whom to connect. Secrets come from files or the environment, never from a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// As nobody in particular (or as the certificate says, or as the URL says).
    #[default]
    None,
    /// A `.creds` file: JWT and seed.
    CredsFile(PathBuf),
    /// A file that holds an nkey seed.
    NkeyFile(PathBuf),
    /// User name and password.
    User {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
}

impl Credentials {
    /// Which kind it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Credentials::None => "none",
            Credentials::CredsFile(_) => "creds file",
            Credentials::NkeyFile(_) => "nkey",
            Credentials::User { .. } => "user and password",
            Credentials::Token(_) => "token",
        }
    }
}

/// Certificates, as files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether to insist on TLS although the URL is not `tls://`.
    pub required: bool,
    /// Whether to begin with the TLS handshake instead of the server's greeting.
    pub first: bool,
    /// Authorities to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate; needs `key`.
    pub certificate: Option<PathBuf>,
    /// The key of `certificate`.
    pub key: Option<PathBuf>,
}

/// Where to connect and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Server URLs; one of them is enough to find the rest of a cluster.
    pub servers: Vec<String>,
    /// As whom.
    pub credentials: Credentials,
    /// Certificates.
    pub tls: TlsOptions,
    /// Name of the connection in the server's lists.
    pub name: String,
    /// JetStream domain, for leaf nodes.
    pub domain: Option<String>,
    /// JetStream API prefix where an account imports it; wins over `domain`.
    pub prefix: Option<String>,
    /// Prefix of reply subjects instead of `_INBOX`, where rights demand it.
    pub inbox_prefix: Option<String>,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions::to(DEFAULT_URL)
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("servers", &self.shown_servers())
            .field("credentials", &self.credentials)
            .field("tls", &self.tls)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ConnectOptions {
    /// Connects to a URL, or several with commas between them.
    pub fn to(urls: &str) -> ConnectOptions {
        ConnectOptions {
            servers: split_urls(urls),
            credentials: Credentials::None,
            tls: TlsOptions::default(),
            name: "millstream".to_owned(),
            domain: None,
            prefix: None,
            inbox_prefix: None,
        }
    }

    /// What the environment and the contexts of the `nats` CLI say. `context` names one; otherwise
    /// `NATS_CONTEXT` does, otherwise the selected one is taken, if any. `NATS_URL`, `NATS_CREDS`, `NATS_NKEY`, `NATS_USER`,
    /// `NATS_PASSWORD`, `NATS_CA`, `NATS_CERT` and `NATS_KEY` go before the context. `env` reads a variable.
    pub fn load(
        context: Option<&str>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ConnectOptions, ContextError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let mut options = ConnectOptions::default();
        let folder = default_config_folder(&env);
        let named = context.map(str::to_owned).or_else(|| env("NATS_CONTEXT"));
        let file = match (named, &folder) {
            (Some(name), Some(folder)) => Some(ContextFile::read(folder, &name)?),
            (Some(name), None) => return Err(ContextError::NoHome { name }),
            (None, Some(folder)) => ContextFile::selected(folder)?,
            (None, None) => None,
        };
        if let Some(file) = file {
            options.apply(file, &env)?;
        }
        if let Some(urls) = env("NATS_URL") {
            options.servers = split_urls(&urls);
        }
        if let Some(path) = env("NATS_CREDS") {
            options.credentials = Credentials::CredsFile(path.into());
        } else if let Some(path) = env("NATS_NKEY") {
            options.credentials = Credentials::NkeyFile(path.into());
        } else if let Some(user) = env("NATS_USER") {
            options.credentials = match env("NATS_PASSWORD") {
                Some(password) => Credentials::User { user, password: Secret::new(password) },
                // As the CLI does it: a user without a password is a token.
                None => Credentials::Token(Secret::new(user)),
            };
        }
        let tls = &mut options.tls;
        for (name, place) in [
            ("NATS_CA", &mut tls.ca),
            ("NATS_CERT", &mut tls.certificate),
            ("NATS_KEY", &mut tls.key),
        ] {
            if let Some(path) = env(name) {
                *place = Some(path.into());
            }
        }
        Ok(options)
    }

    /// Takes over what a context says.
    fn apply(
        &mut self,
        file: ContextFile,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ContextError> {
        let home = env("HOME");
        let path = |text: &str| expand_home(text, home.as_deref());
        if let Some(what) = file.unsupported() {
            return Err(ContextError::Unsupported { name: file.name, what });
        }
        if !file.url.is_empty() {
            self.servers = split_urls(&file.url);
        }
        self.credentials = if !file.user.is_empty() {
            Credentials::User { user: file.user, password: Secret::new(file.password) }
        } else if !file.creds.is_empty() {
            Credentials::CredsFile(path(&file.creds))
        } else if !file.nkey.is_empty() {
            Credentials::NkeyFile(path(&file.nkey))
        } else if !file.token.is_empty() {
            Credentials::Token(Secret::new(file.token))
        } else {
            Credentials::None
        };
        let file_path = |text: &str| (!text.is_empty()).then(|| path(text));
        self.tls = TlsOptions {
            required: false,
            first: file.tls_first,
            ca: file_path(&file.ca),
            certificate: file_path(&file.cert),
            key: file_path(&file.key),
        };
        let text = |text: String| (!text.is_empty()).then_some(text);
        self.domain = text(file.jetstream_domain);
        self.prefix = text(file.jetstream_api_prefix);
        self.inbox_prefix = text(file.inbox_prefix);
        Ok(())
    }

    /// Prefix of the JetStream API's subjects.
    pub(crate) fn api_prefix(&self) -> String {
        match (&self.prefix, &self.domain) {
            (Some(prefix), _) => prefix.trim_end_matches('.').to_owned(),
            (None, Some(domain)) => format!("$JS.{domain}.API"),
            (None, None) => "$JS.API".to_owned(),
        }
    }

    /// The servers, without users and passwords.
    pub fn shown_servers(&self) -> String {
        let shown: Vec<String> = self.servers.iter().map(|url| without_user(url)).collect();
        shown.join(",")
    }

    /// What to show the server, read from its files.
    pub(crate) async fn login(&self) -> Result<Login, ConnectError> {
        Ok(match &self.credentials {
            Credentials::None => self.login_of_url(),
            Credentials::CredsFile(path) => {
                let text = read_secret(path).await?;
                let mut blocks = blocks(text.expose());
                match (blocks.next(), blocks.next()) {
                    (Some(jwt), Some(seed)) => {
                        Login::Jwt { jwt: jwt.to_owned(), seed: seed.to_owned() }
                    }
                    _ => {
                        return Err(ConnectError::CredsFormat { path: path.display().to_string() });
                    }
                }
            }
            Credentials::NkeyFile(path) => Login::Nkey { seed: read_seed(path).await?.0 },
            Credentials::User { user, password } => {
                Login::User { user: user.clone(), password: password.expose().to_owned() }
            }
            Credentials::Token(token) => Login::Token(token.expose().to_owned()),
        })
    }

    /// `nats://user:password@host` or `nats://token@host`.
    fn login_of_url(&self) -> Login {
        let url = self.servers.iter().find_map(|url| {
            url.parse::<async_nats::ServerAddr>().ok()?.has_user_pass().then_some(url)
        });
        let Some(address) = url.and_then(|url| url.parse::<async_nats::ServerAddr>().ok()) else {
            return Login::None;
        };
        match (address.username(), address.password()) {
            (Some(user), Some(password)) => {
                Login::User { user: user.to_owned(), password: password.to_owned() }
            }
            (Some(token), None) => Login::Token(token.to_owned()),
            (None, _) => Login::None,
        }
    }

    /// Adds certificates and names to the client library's options.
    pub(super) async fn apply_to(
        &self,
        options: async_nats::ConnectOptions,
    ) -> Result<async_nats::ConnectOptions, ConnectError> {
        let mut options = options.name(&self.name);
        if let Some(ca) = &self.tls.ca {
            options = options.add_root_certificates(readable(ca).await?);
        }
        if let (Some(certificate), Some(key)) = (&self.tls.certificate, &self.tls.key) {
            options =
                options.add_client_certificate(readable(certificate).await?, readable(key).await?);
        }
        if self.tls.required || self.tls.ca.is_some() {
            options = options.require_tls(true);
        }
        if self.tls.first {
            options = options.tls_first();
        }
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        Ok(options)
    }
}

/// The texts between lines of dashes in a creds file: the JWT, then the seed.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim);
    std::iter::from_fn(move || {
        lines.by_ref().find(|line| line.starts_with("---") && line.contains("BEGIN"))?;
        lines.by_ref().find(|line| !line.is_empty())
    })
}

/// The nkey seed in a file: bare, or decorated as in a creds file. Whether it is one is not checked.
pub async fn read_seed(path: &Path) -> Result<Secret, ConnectError> {
    let text = read_secret(path).await?;
    let seed = blocks(text.expose()).last().unwrap_or(text.expose().trim()).to_owned();
    Ok(Secret(seed))
}

/// Reads a file that holds a secret.
async fn read_secret(path: &Path) -> Result<Secret, ConnectError> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) => Ok(Secret(text)),
        Err(source) => Err(ConnectError::File { path: path.display().to_string(), source }),
    }
}

/// Fails early, and with the path, when a file is not readable.
async fn readable(path: &Path) -> Result<PathBuf, ConnectError> {
    match tokio::fs::File::open(path).await {
        Ok(_) => Ok(path.to_owned()),
        Err(source) => Err(ConnectError::File { path: path.display().to_string(), source }),
    }
}

fn split_urls(urls: &str) -> Vec<String> {
    urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

/// `~/x` and `$HOME/x`, as the `nats` CLI expands them.
fn expand_home(text: &str, home: Option<&str>) -> PathBuf {
    let rest = text
        .strip_prefix("~/")
        .or_else(|| text.strip_prefix("$HOME/"))
        .or_else(|| text.strip_prefix("${HOME}/"));
    match (rest, home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(text),
    }
}

/// A URL without what stands before `@`.
pub(crate) fn without_user(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let host = match rest[..end].rfind('@') {
        Some(at) => &rest[at + 1..],
        None => rest,
    };
    match scheme {
        Some(scheme) => format!("{scheme}://{host}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let mut options = ConnectOptions::to("nats://joe:pw1@a:4222, tls://b");
        options.credentials =
            Credentials::User { user: "joe".into(), password: Secret::new("pw2") };
        let shown = format!("{options:?}");
        assert!(!shown.contains("pw1") && !shown.contains("pw2"), "{shown}");
        assert_eq!(options.shown_servers(), "nats://a:4222,tls://b");
        assert_eq!(without_user("file:///a@b/c"), "file:///a@b/c");
    }

    #[tokio::test]
    async fn reads_creds_files_and_urls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.creds");
        let text = "-----BEGIN NATS USER JWT-----\r\nabc.def\r\n------END NATS USER JWT------\n\n*** IMPORTANT ***\n\n-----BEGIN USER NKEY SEED-----\nSUAXYZ\n------END USER NKEY SEED------\n";
        std::fs::write(&path, text).unwrap();
        let mut options = ConnectOptions::to("nats://a");
        options.credentials = Credentials::CredsFile(path.clone());
        assert!(
            matches!(options.login().await, Ok(Login::Jwt { jwt, seed }) if jwt == "abc.def" && seed == "SUAXYZ")
        );
        std::fs::write(&path, "SUAXYZ\n").unwrap();
        assert!(matches!(options.login().await, Err(ConnectError::CredsFormat { .. })));
        options.credentials = Credentials::NkeyFile(path);
        assert!(matches!(options.login().await, Ok(Login::Nkey { seed }) if seed == "SUAXYZ"));
        let url = ConnectOptions::to("nats://a,nats://joe:pw@b");
        assert!(
            matches!(url.login().await, Ok(Login::User { user, password }) if user == "joe" && password == "pw")
        );
        assert!(
            matches!(ConnectOptions::to("nats://tok@b").login().await, Ok(Login::Token(token)) if token == "tok")
        );
    }

    #[test]
    fn the_environment_goes_before_the_selected_context() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = folder.path().join("nats/context");
        std::fs::create_dir_all(&contexts).unwrap();
        std::fs::write(
            contexts.join("bank.json"),
            r#"{"description":"","url":"nats://bank:4222","user":"u","password":"p","creds":"~/x.creds","jetstream_domain":"hub","ca":"~/ca.pem"}"#,
        )
        .unwrap();
        std::fs::write(
            contexts.join("other.json"),
            r#"{"url":"nats://o1,nats://o2","creds":"~/x.creds"}"#,
        )
        .unwrap();
        std::fs::write(folder.path().join("nats/context.txt"), "bank\n").unwrap();
        let config = folder.path().to_str().unwrap().to_owned();
        let env = |more: &'static [(&'static str, &'static str)]| {
            let config = config.clone();
            move |name: &str| match name {
                "XDG_CONFIG_HOME" => Some(config.clone()),
                "HOME" => Some("/home/joe".to_owned()),
                _ => more.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
            }
        };
        let selected = ConnectOptions::load(None, &env(&[])).unwrap();
        assert_eq!(selected.servers, ["nats://bank:4222"]);
        assert_eq!(
            selected.credentials,
            Credentials::User { user: "u".into(), password: Secret::new("p") }
        );
        assert_eq!(selected.api_prefix(), "$JS.hub.API");
        assert_eq!(selected.tls.ca.as_deref(), Some(Path::new("/home/joe/ca.pem")));

        let named = ConnectOptions::load(None, &env(&[("NATS_CONTEXT", "other")])).unwrap();
        assert_eq!(named.servers, ["nats://o1", "nats://o2"]);
        assert_eq!(named.credentials, Credentials::CredsFile("/home/joe/x.creds".into()));
        assert_eq!(
            ConnectOptions::load(Some("bank"), &env(&[("NATS_CONTEXT", "other")])).unwrap(),
            selected
        );

        let url =
            ConnectOptions::load(None, &env(&[("NATS_URL", "nats://here"), ("NATS_USER", "tok")]))
                .unwrap();
        assert_eq!(url.servers, ["nats://here"]);
        assert_eq!(url.credentials, Credentials::Token(Secret::new("tok")));

        let missing = ConnectOptions::load(Some("nope"), &env(&[])).unwrap_err().to_string();
        assert!(missing.contains("nope") && missing.contains("bank, other"), "{missing}");
        assert!(ConnectOptions::load(Some("../bank"), &env(&[])).is_err());
    }
}
