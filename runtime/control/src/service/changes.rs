//! `change.*`: changes that wait for the consent of somebody else than their author.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{Answer, Service};
use crate::api::Done;
use crate::api::changes::{
    Approve, Consent, List, Listing, Proposed, ProposedRequest, Reject, Show,
};
use crate::api::pipelines::{Applied, Outcome};
use crate::clock;
use crate::errors;
use crate::problem::{Problem, Problems};
use crate::worker::Worker;

/// Hexadecimal digits of a change's number.
const ID_DIGITS: usize = 16;

impl<W: Worker> Service<W> {
    /// Remembers a change instead of making it, if it needs consent that it does not have. `applied` is what it would do.
    ///
    /// # Errors
    /// MS1634 if consent was given to something else.
    pub(super) async fn propose(
        &self,
        consent: &Consent,
        modules: &BTreeMap<String, String>,
        applied: &Applied,
        by: &str,
        what: impl FnOnce() -> ProposedRequest,
    ) -> Result<Option<Applied>, Problem> {
        if let Some(agreed) = &consent.modules {
            if agreed == modules {
                return Ok(None);
            }
            let message =
                "a module that the manifest names is another one than when the change was proposed";
            return Err(Problem::new(errors::CHANGE_STALE, message)
                .help("reject it, and have it proposed anew with `millstream apply`"));
        }
        let granted = self.gate.store().grants().await?;
        let (Some(key), true) =
            (&consent.caller.key, granted.is_some_and(|(document, _)| document.consent))
        else {
            return Ok(None);
        };
        let mut proposed = Proposed {
            id: String::new(),
            pipeline: applied.pipeline.clone(),
            revision: applied.revision,
            changes: applied.changes.clone(),
            modules: modules.clone(),
            by: by.to_owned(),
            key: key.clone(),
            at_ms: clock::now_ms(),
            what: what(),
        };
        let text = serde_json::to_vec(&proposed).unwrap_or_default();
        proposed.id = hex::encode(Sha256::digest(text));
        proposed.id.truncate(ID_DIGITS);
        self.gate.store().propose(&proposed).await?;
        tracing::info!(pipeline = %proposed.pipeline, change = %proposed.id, "change proposed");
        Ok(Some(Applied {
            outcome: Outcome::Proposed,
            proposal: Some(proposed.id),
            ..applied.clone()
        }))
    }

    async fn proposed(&self, id: &str) -> Result<Proposed, Problem> {
        let mut found = self.gate.store().proposed().await?;
        found.retain(|proposed| !id.is_empty() && proposed.id.starts_with(id));
        match <[Proposed; 1]>::try_from(found) {
            Ok([proposed]) => Ok(proposed),
            Err(several) => {
                let message = match several.len() {
                    0 => format!("no change {id:?} waits for consent"),
                    count => format!("{count} changes have numbers that begin with {id:?}"),
                };
                Err(Problem::new(errors::CHANGE_UNKNOWN, message)
                    .help("`millstream change ls` lists them"))
            }
        }
    }

    /// The change that is meant, if it is one of that pipeline: for that one whoever asks was let through.
    async fn proposed_of(&self, id: &str, pipeline: &str) -> Result<Proposed, Problem> {
        let proposed = self.proposed(id).await?;
        if proposed.pipeline == pipeline {
            return Ok(proposed);
        }
        let message = format!("the change {} is not one of `{pipeline}`", proposed.id);
        Err(Problem::new(errors::CHANGE_UNKNOWN, message).help("`millstream change ls` lists them"))
    }
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, _: List) -> Result<Listing, Problems> {
        Ok(Listing { changes: self.gate.store().proposed().await? })
    }
}

impl<W: Worker> Answer<Show> for Service<W> {
    async fn answer(&self, request: Show) -> Result<Proposed, Problems> {
        Ok(self.proposed(&request.id).await?)
    }
}

impl<W: Worker> Answer<Approve> for Service<W> {
    async fn answer(&self, request: Approve) -> Result<Applied, Problems> {
        let proposed = self.proposed_of(&request.id, &request.pipeline).await?;
        let Some(approver) = request.caller.key.filter(|key| *key != proposed.key) else {
            let message = format!("the change {} was proposed with this very key", proposed.id);
            return Err(Problem::new(errors::OWN_CHANGE, message)
                .help("ask another approver; `millstream access ls` lists them")
                .into());
        };
        let name = request.caller.name.unwrap_or_else(|| approver.to_string());
        let by = format!("{}, approved by {name}", proposed.by);
        let consent = Consent { modules: Some(proposed.modules.clone()), ..Consent::default() };
        let applied = match proposed.what.clone() {
            ProposedRequest::Apply(apply) => {
                let mut apply = apply;
                (apply.by, apply.consent) = (by, consent);
                // What was looked at is what is changed.
                apply.if_revision = Some(proposed.revision);
                self.answer(apply).await?
            }
            ProposedRequest::Restore(restore) => {
                let mut restore = restore;
                (restore.by, restore.consent) = (by, consent);
                self.answer(restore).await?
            }
        };
        // If this fails, the change is listed still, and cannot be made again: its revision is past.
        self.gate.store().settle(&proposed).await?;
        tracing::info!(pipeline = %proposed.pipeline, change = %proposed.id, "change approved");
        Ok(applied)
    }
}

impl<W: Worker> Answer<Reject> for Service<W> {
    async fn answer(&self, request: Reject) -> Result<Done, Problems> {
        let proposed = self.proposed_of(&request.id, &request.pipeline).await?;
        let granted = self.gate.store().grants().await?;
        let key = request.caller.key.as_ref();
        let grant = granted.as_ref().zip(key).and_then(|((all, _), key)| all.grant(key));
        let is_approver =
            grant.is_some_and(|grant| grant.roles.contains(&crate::access::Role::Approver));
        if !is_approver && key != Some(&proposed.key) {
            let message = format!("the change {} is {}'s", proposed.id, proposed.by);
            return Err(Problem::new(errors::NOT_ALLOWED, message)
                .help("approvers reject changes of others, everybody one's own")
                .into());
        }
        self.gate.store().settle(&proposed).await?;
        tracing::info!(pipeline = %proposed.pipeline, change = %proposed.id, "change rejected");
        Ok(Done {})
    }
}
