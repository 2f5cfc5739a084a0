//! Showing a server who we are.

use async_nats::{Auth, AuthError};

/// What the server is shown. Not `Debug`: it holds secrets.
pub(crate) enum Login {
    None,
    Jwt { jwt: String, seed: String },
    Nkey { seed: String },
    User { user: String, password: String },
    Token(String),
}

/// What the server wants to see: who we are, and the nonce signed where there is a key.
pub(crate) fn sign(login: &Login, nonce: &[u8]) -> Result<Auth, AuthError> {
    let mut auth = Auth::new();
    let signed = |seed: &str| {
        let pair = nkeys::KeyPair::from_seed(seed).map_err(AuthError::new)?;
        let signature = pair.sign(nonce).map_err(AuthError::new)?;
        Ok::<_, AuthError>((pair.public_key(), signature))
    };
    match login {
        Login::None => {}
        Login::Jwt { jwt, seed } => {
            auth.signature = Some(signed(seed)?.1);
            auth.jwt = Some(jwt.clone());
        }
        Login::Nkey { seed } => {
            let (public, signature) = signed(seed)?;
            auth.nkey = Some(public);
            auth.signature = Some(signature);
        }
        Login::User { user, password } => {
            auth.username = Some(user.clone());
            auth.password = Some(password.clone());
        }
        Login::Token(token) => auth.token = Some(token.clone()),
    }
    Ok(auth)
}
