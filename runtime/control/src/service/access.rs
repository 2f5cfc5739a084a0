//! `access.*`.

use super::{Answer, Service};
use crate::access::signature::Audience;
use crate::access::{AccessDocument, Gate, Grant, Target};
use crate::api::access::{
    Can, GrantRequest, Identified, Identity, List, Listing, Me, Revoke, SetConsent, Verdict, WhoAmI,
};
use crate::api::{Done, Kind};
use crate::clock;
use crate::errors;
use crate::manifest::suggest;
use crate::problem::{Problem, Problems};
use crate::worker::Worker;

/// For whom requests must be signed.
pub(super) fn identified(gate: &Gate) -> Identified {
    let Audience { cluster, incarnation } = gate.audience().clone();
    Identified { cluster, incarnation }
}

impl<W: Worker> Answer<Identity> for Service<W> {
    async fn answer(&self, _: Identity) -> Result<Identified, Problems> {
        Ok(identified(&self.gate))
    }
}

impl<W: Worker> Service<W> {
    async fn granted(&self) -> Result<Option<AccessDocument>, Problem> {
        Ok(self.gate.store().grants().await?.map(|(document, _)| document))
    }
}

impl<W: Worker> Answer<WhoAmI> for Service<W> {
    async fn answer(&self, request: WhoAmI) -> Result<Me, Problems> {
        let granted = self.granted().await?;
        let key = request.caller.key;
        let grant = granted.as_ref().zip(key.as_ref()).and_then(|(all, key)| all.grant(key));
        let grant = grant.cloned();
        Ok(Me { key: key.map(|key| key.to_string()), grant, open: granted.is_none() })
    }
}

impl<W: Worker> Answer<Can> for Service<W> {
    async fn answer(&self, request: Can) -> Result<Verdict, Problems> {
        let Can { operation, pipeline, caller } = request;
        let kind = Kind::named(&operation).ok_or_else(|| {
            let names = Kind::ALL.iter().map(|kind| kind.name());
            Problem::new(errors::OPERATION_UNKNOWN, format!("there is no operation `{operation}`"))
                .help(suggest(&operation, names))
        })?;
        let target = Target { pipeline: pipeline.clone(), what: None };
        let granted = self.granted().await?;
        let (allowed, why) = Gate::verdict(granted.as_ref(), &caller, kind, &target);
        Ok(Verdict { operation, pipeline, allowed, why })
    }
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, _: List) -> Result<Listing, Problems> {
        let granted = self.granted().await?;
        let open = granted.is_none();
        let AccessDocument { grants, consent } = granted.unwrap_or_default();
        Ok(Listing { open, grants, consent })
    }
}

impl<W: Worker> Answer<GrantRequest> for Service<W> {
    async fn answer(&self, request: GrantRequest) -> Result<Grant, Problems> {
        let _changing = self.changes.lock().await;
        let key = request.key.parse().map_err(|error: crate::access::key::NoPublicKey| {
            Problem::new(errors::GRANT_INVALID, error.to_string())
                .help("a user's public nkey has 56 characters and begins with U")
        })?;
        let grant = Grant {
            key,
            name: request.name,
            roles: request.roles.into_iter().collect(),
            pipelines: request.pipelines,
            granted_at_ms: clock::now_ms(),
            granted_by: request.by,
        };
        let store = self.gate.store();
        let (document, at) = store.grants().await?.unzip();
        let changed = document.unwrap_or_default().with(grant.clone())?;
        store.change(&changed, at).await?;
        tracing::info!(user = %grant.name, key = %grant.key, "roles granted");
        Ok(grant)
    }
}

impl<W: Worker> Answer<Revoke> for Service<W> {
    async fn answer(&self, request: Revoke) -> Result<Done, Problems> {
        let _changing = self.changes.lock().await;
        let store = self.gate.store();
        let found = store.grants().await?;
        let names = found.iter().flat_map(|(document, _)| &document.grants);
        let help = suggest(&request.user, names.map(|grant| grant.name.as_str()));
        let unknown = || {
            Problem::new(errors::USER_UNKNOWN, format!("nothing is granted to `{}`", request.user))
                .help(help)
        };
        let Some((document, at)) = found else { return Err(unknown().into()) };
        let changed = document.without(&request.user)?.ok_or_else(unknown)?;
        store.change(&changed, Some(at)).await?;
        tracing::info!(user = %request.user, "roles revoked");
        Ok(Done {})
    }
}

impl<W: Worker> Answer<SetConsent> for Service<W> {
    async fn answer(&self, request: SetConsent) -> Result<Done, Problems> {
        let _changing = self.changes.lock().await;
        let store = self.gate.store();
        let (document, at) = store.grants().await?.unzip();
        let consent = request.needed;
        let changed = AccessDocument { consent, ..document.unwrap_or_default() }.governed()?;
        store.change(&changed, at).await?;
        tracing::info!(needed = consent, "consent to changes");
        Ok(Done {})
    }
}
