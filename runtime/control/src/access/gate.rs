//! Every request passes here before it is answered.

use std::sync::{Mutex, PoisonError};

use async_nats::HeaderMap;
use tokio::sync::watch;

use super::document::Denied;
use super::nonces::{NONCES_MAX, Nonces, Spent, WINDOW_MS};
use super::rule::{Rule, rule};
use super::signature::{Audience, Signed};
use super::store::AccessStore;
use super::{AccessDocument, Caller, Target};
use crate::api::Kind;
use crate::clock;
use crate::cluster::view::View;
use crate::errors;
use crate::problem::Problem;

/// A request that is not let through.
#[derive(Debug)]
pub struct Turned {
    /// Why.
    pub problem: Problem,
    /// Who asked, if something else is granted to them.
    pub known: Option<Caller>,
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Turned { problem, known: None }
    }
}

/// The gate of one node. It lives as long as the node's start: it remembers what was signed for that.
pub struct Gate {
    store: AccessStore,
    audience: Audience,
    view: watch::Receiver<View>,
    nonces: Mutex<Nonces>,
}

impl Gate {
    /// Of the node whose start has the number of `audience`. `view` says which nodes there are.
    pub fn new(store: AccessStore, audience: Audience, view: watch::Receiver<View>) -> Self {
        Gate { store, audience, view, nonces: Mutex::default() }
    }

    /// For whom requests must be signed.
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// What is granted.
    pub fn store(&self) -> &AccessStore {
        &self.store
    }

    /// Who signed a request; none: nobody did. That they may ask for it is not said yet.
    ///
    /// # Errors
    /// MS1603 if the signature does not hold, MS1604 if it is old, MS1606 if it is for another node or cluster.
    pub fn read(
        &self,
        kind: Kind,
        headers: Option<&HeaderMap>,
        payload: &[u8],
    ) -> Result<Option<Signed>, Problem> {
        let Some(signed) = Signed::read(headers)? else { return Ok(None) };
        if signed.audience != self.audience.to_string() {
            let message = "the request is signed for another cluster, or for a node that answered before this one";
            return Err(Problem::new(errors::SIGNED_FOR_ANOTHER, message)
                .help("ask anew: the command signs for the node that answers now"));
        }
        if !signed.holds(&self.audience, kind.name(), payload) {
            let message = format!("the signature is not {}'s over this request", signed.key);
            return Err(Problem::new(errors::SIGNATURE_INVALID, message));
        }
        let now = clock::now_ms();
        let off = now.saturating_sub(signed.time_ms);
        if off.saturating_abs() > WINDOW_MS {
            let message = format!(
                "the request was signed {} s {} this node's time, at most {} s are allowed",
                off.saturating_abs() / 1_000,
                if off > 0 { "before" } else { "after" },
                WINDOW_MS / 1_000
            );
            return Err(Problem::new(errors::SIGNATURE_STALE, message)
                .help("set the clocks of this machine and of the node by NTP"));
        }
        Ok(Some(signed))
    }

    /// Lets a request through that whoever signed it may make, once.
    ///
    /// # Errors
    /// MS1601 if it had to be signed, MS1602 if it is not allowed, MS1605 if it was made before; MS1406 and MS1408 if what is
    /// granted cannot be read: then nobody may do anything.
    pub async fn admit(
        &self,
        signed: Option<Signed>,
        kind: Kind,
        target: &Target,
    ) -> Result<Caller, Turned> {
        let rule = rule(kind);
        let document = match (&signed, rule) {
            // What anybody may ask unsigned must not depend on the bucket.
            (None, Rule::Anybody) => return Ok(Caller::default()),
            _ => self.store.grants().await?.map(|(document, _)| document),
        };
        let Some(Signed { key, nonce, time_ms, .. }) = signed else {
            if document.is_none() {
                return Ok(Caller::default());
            }
            let message = format!("the request {} is not signed", kind.name());
            let problem = Problem::new(errors::UNSIGNED, message).help(
                "this cluster answers signed requests only: name the file of your nkey's seed with `--nkey FILE`, or use a context with `nkey` or `creds`",
            );
            return Err(problem.into());
        };
        let grant = document.as_ref().and_then(|document| document.grant(&key));
        let name = grant.map(|grant| grant.name.clone());
        let caller =
            Caller { key: Some(key.clone()), name: name.clone(), nonce: Some(nonce.clone()) };
        match (&document, rule) {
            (None, _) | (_, Rule::Anybody) => {}
            (Some(_), Rule::Nodes) if self.is_node(&key) => {}
            (Some(_), Rule::Nodes) => {
                return Err(denied(&key, None, kind, target, &Denied::NodesOnly).into());
            }
            (Some(document), Rule::Users(..)) => {
                let decided = document.decide(&key, kind, target);
                decided.map_err(|reason| Turned {
                    problem: denied(&key, name.as_deref(), kind, target, &reason),
                    known: name.is_some().then(|| caller.clone()),
                })?;
            }
        }
        // Strangers cannot make the node remember anything; what they may ask may be asked again.
        if name.is_some() || matches!(rule, Rule::Nodes) || document.is_none() {
            self.take(&nonce, time_ms)?;
        }
        Ok(caller)
    }

    /// What `millstream can-i` answers: whether it is allowed, and why.
    pub fn verdict(
        document: Option<&AccessDocument>,
        caller: &Caller,
        kind: Kind,
        target: &Target,
    ) -> (bool, String) {
        let Some(document) = document else {
            return (
                true,
                "nothing is granted in this cluster: everybody may do everything".into(),
            );
        };
        let Some(key) = &caller.key else {
            let allowed = rule(kind) == Rule::Anybody;
            return (allowed, "the request is not signed".into());
        };
        if rule(kind) == Rule::Anybody {
            return (true, "everybody may".into());
        }
        match document.decide(key, kind, target) {
            Ok(grant) => {
                let roles: Vec<&str> = grant.roles.iter().map(|role| role.name()).collect();
                (true, format!("{} is {}", grant.name, roles.join(", ")))
            }
            Err(reason) => (false, reason.reason()),
        }
    }

    fn is_node(&self, key: &super::PublicKey) -> bool {
        let view = self.view.borrow();
        view.nodes.values().any(|peer| peer.member.key.as_ref() == Some(key))
    }

    fn take(&self, nonce: &str, time_ms: i64) -> Result<(), Problem> {
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.take(nonce, time_ms, clock::now_ms()).map_err(|spent| match spent {
            Spent::Replayed => {
                Problem::new(errors::REPLAYED, "this very request has been made before")
                    .help("if you did not make it twice, somebody who can read your requests did")
            }
            Spent::Full => Problem::new(
                errors::REPLAYED,
                format!(
                    "{NONCES_MAX} requests were made within the last {} s",
                    2 * WINDOW_MS / 1_000
                ),
            )
            .help("wait a minute"),
        })
    }
}

fn denied(
    key: &super::PublicKey,
    name: Option<&str>,
    kind: Kind,
    target: &Target,
    reason: &Denied,
) -> Problem {
    let who = name.unwrap_or(key.as_str());
    let about = target.pipeline.as_deref().map(|name| format!(" with pipeline {name}"));
    let message = format!(
        "{who} may not do {}{}: {}",
        kind.name(),
        about.unwrap_or_default(),
        reason.reason()
    );
    Problem::new(errors::NOT_ALLOWED, message)
        .help("`millstream whoami` shows what you are granted; an operator grants with `millstream access grant`")
}
