//! Nkeys: Ed25519 keys as NATS writes them. Users sign requests with theirs; a node signs what it asks other nodes, and the
//! head of the audit trail, with its own.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Deserializer, Serialize};

use crate::clock;
use crate::errors;
use crate::problem::Problem;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Who may read a file with a seed: its owner.
const SECRET_MODE: u32 = 0o600;

/// A public key, as NATS writes it: 56 characters, the first of which says whose it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PublicKey(String);

/// A text that is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no public nkey")]
pub struct NoPublicKey(String);

impl PublicKey {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a user's.
    pub fn is_users(&self) -> bool {
        self.0.starts_with('U')
    }

    /// Whether it is a node's.
    pub fn is_nodes(&self) -> bool {
        self.0.starts_with('N')
    }

    /// Whether the signature is this key's, over exactly that.
    pub fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        KeyPair::from_public_key(&self.0).is_ok_and(|pair| pair.verify(text, signature).is_ok())
    }
}

impl std::str::FromStr for PublicKey {
    type Err = NoPublicKey;

    fn from_str(text: &str) -> Result<Self, NoPublicKey> {
        match KeyPair::from_public_key(text) {
            Ok(_) => Ok(PublicKey(text.to_owned())),
            Err(_) => Err(NoPublicKey(text.chars().take(64).collect())),
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that signs. Cheap to clone. Shows its public half only.
#[derive(Clone)]
pub struct SigningKey(Arc<KeyPair>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// A user's, from 32 random bytes.
    ///
    /// # Panics
    /// Never: all such bytes are a key.
    pub fn user(random: [u8; 32]) -> Self {
        Self::of(KeyPairType::User, random)
    }

    /// A node's, from 32 random bytes.
    ///
    /// # Panics
    /// Never: all such bytes are a key.
    pub fn node(random: [u8; 32]) -> Self {
        Self::of(KeyPairType::Server, random)
    }

    fn of(kind: KeyPairType, random: [u8; 32]) -> Self {
        let pair = KeyPair::new_from_raw(kind, random).expect("32 bytes are a key");
        SigningKey(Arc::new(pair))
    }

    /// From a seed as NATS writes it.
    pub fn from_seed(seed: &str) -> Option<Self> {
        KeyPair::from_seed(seed).ok().map(|pair| SigningKey(Arc::new(pair)))
    }

    /// A node's key from its file, which is made if there is none.
    ///
    /// # Errors
    /// MS1410 if the file cannot be made or read, can be used by everybody, or holds no node's seed.
    pub fn of_node(path: &Path) -> Result<Self, Problem> {
        let unusable = |what: String| {
            Problem::new(
                errors::FOLDER_UNUSABLE,
                format!("the node's key {}: {what}", path.display()),
            )
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Self::node(clock::random_bytes());
                made.store(path).map_err(|error| unusable(error.to_string()))?;
                return Ok(made);
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        let failed = |error: io::Error| unusable(error.to_string());
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o007 != 0 {
            let message = format!("its mode is {:o}, everybody can use it", mode & 0o777);
            return Err(unusable(message).help("remove the file: the node then makes another key"));
        }
        if mode & 0o070 != 0 {
            // Containers' volumes are given to a group as a whole when they are mounted.
            let private = fs::Permissions::from_mode(SECRET_MODE);
            fs::set_permissions(path, private).map_err(failed)?;
            tracing::warn!(file = %path.display(), "the node's key could be read by a group; it is its owner's again");
        }
        let key = Self::from_seed(text.trim()).filter(|key| key.public().is_nodes());
        key.ok_or_else(|| unusable("it holds no seed of a node (SN...)".to_owned()))
    }

    /// Writes the seed where nothing is yet: first whole under another name, so that a crash leaves no half of one.
    fn store(&self, path: &Path) -> io::Result<()> {
        let seed = self.0.seed().map_err(io::Error::other)?;
        let draft = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(SECRET_MODE)
            .open(&draft)?;
        file.set_permissions(fs::Permissions::from_mode(SECRET_MODE))?;
        writeln!(file, "{seed}")?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key())
    }

    /// Signs.
    ///
    /// # Panics
    /// Never: every value of this type has a seed.
    pub fn sign(&self, text: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let signature = self.0.sign(text).expect("a signing key has its seed");
        signature.try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_recognised_and_nothing_else() {
        let key = SigningKey::user([7; 32]);
        let signature = key.sign(b"text");
        let public: PublicKey = key.public().as_str().parse().unwrap();
        assert!(public.has_signed(b"text", &signature) && public.is_users());
        assert!(!public.has_signed(b"texT", &signature));
        assert!(!public.has_signed(b"text", &signature[1..]));
        assert!(!SigningKey::user([8; 32]).public().has_signed(b"text", &signature));
        for wrong in ["", "U", "UABC", &public.as_str()[1..], &format!("{public}A")] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
        assert!(!format!("{key:?}").contains(&key.0.seed().unwrap()));
    }

    #[test]
    fn a_nodes_key_stays_and_is_its_owners_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.nk");
        let key = SigningKey::of_node(&path).unwrap().public();
        assert!(key.is_nodes());
        assert_eq!(SigningKey::of_node(&path).unwrap().public(), key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!((SigningKey::of_node(&path).unwrap().public(), mode()), (key, 0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let open = SigningKey::of_node(&path).unwrap_err();
        assert!(open.message.contains("its mode is 604"), "{open}");
        fs::write(&path, "SUAXYZ").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let wrong = SigningKey::of_node(&path).unwrap_err();
        assert!(!wrong.to_string().contains("SUAXYZ"), "{wrong}");
    }
}
