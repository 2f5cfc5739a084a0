//! The key that requests are signed with, and which cluster they are signed for.
//!
//! What is signed for one cluster is of no use at another. So nobody must be able to pass one off as the other: the
//! file `millstream/clusters` in the user's configuration folder has a line per server and key, with the number of the
//! cluster that answered first, and nothing is signed for another one. `--cluster` says it instead.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_control::access::SigningKey;
use millstream_control::api::access::Identified;
use millstream_control::client::Signer;
use millstream_control::errors;
use millstream_control::problem::Problem;
use millstream_log::connect::{Connection, Credentials, read_seed};

use crate::cli::Global;
use crate::connection::unconnected;
use crate::failure::Failure;

/// The signer that the global options and the context give; none if there is no key.
pub async fn signer(
    global: &Global,
    connection: &Connection,
) -> Result<Option<Arc<Signer>>, Failure> {
    let options = connection.options();
    let path = match (&global.nkey, &options.credentials) {
        (Some(path), _) | (None, Credentials::CredsFile(path) | Credentials::NkeyFile(path)) => {
            path.clone()
        }
        _ => return Ok(None),
    };
    let seed = read_seed(&path).await.map_err(|error| unconnected(&error))?;
    let key = SigningKey::from_seed(seed.expose()).filter(|key| key.public().is_users());
    let key = key.ok_or_else(|| {
        let message = format!("{} holds no seed of a user's nkey", path.display());
        Failure::coded(errors::SEED_UNUSABLE, message).help("such a seed begins with SU")
    })?;
    let (expected, place) = (global.cluster.clone(), known_clusters());
    let entry = format!("{} {}", options.shown_servers(), key.public());
    let check = move |found: &Identified| match &expected {
        Some(expected) => is_it(expected, &found.cluster, "--cluster names"),
        None => match &place {
            Some(place) => recall(place, &entry, &found.cluster),
            None => Ok(()),
        },
    };
    Ok(Some(Arc::new(Signer::new(key, Box::new(check)))))
}

/// Where clusters are remembered; none without a home.
fn known_clusters() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = folder("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| folder("HOME").map(|home| Path::new(&home).join(".config")));
    config.map(|config| config.join("millstream/clusters"))
}

/// Compares a cluster with the one that is remembered, or remembers it.
fn recall(place: &Path, entry: &str, found: &str) -> Result<(), Problem> {
    let unusable = |error: &io::Error| {
        let message = format!("cannot remember the cluster in {}: {error}", place.display());
        Problem::new(errors::FILE, message).help("name the cluster with `--cluster ID`")
    };
    let text = match fs::read_to_string(place) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unusable(&error)),
    };
    let known = text.lines().find_map(|line| line.strip_prefix(entry)?.strip_prefix(' '));
    if let Some(known) = known {
        return is_it(known, found, &format!("{} names", place.display()));
    }
    let append = || -> io::Result<()> {
        fs::create_dir_all(place.parent().unwrap_or(place))?;
        let mut file = OpenOptions::new().create(true).append(true).open(place)?;
        file.write_all(format!("{entry} {found}\n").as_bytes())
    };
    append().map_err(|error| unusable(&error))
}

fn is_it(expected: &str, found: &str, says: &str) -> Result<(), Problem> {
    if expected == found {
        return Ok(());
    }
    let message = format!("the cluster {found} answers, {says} {expected}");
    Err(Problem::new(errors::CLUSTER_UNEXPECTED, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_remembered_per_server_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/clusters");
        recall(&place, "nats://a UA", "1").unwrap();
        recall(&place, "nats://a UB", "2").unwrap();
        recall(&place, "nats://a UA", "1").unwrap();
        let other = recall(&place, "nats://a UA", "2").unwrap_err();
        assert_eq!(other.code, errors::CLUSTER_UNEXPECTED);
        assert!(other.message.contains("clusters names 1"), "{other}");
        assert_eq!(fs::read_to_string(&place).unwrap(), "nats://a UA 1\nnats://a UB 2\n");
    }
}
