//! `audit.*`.

use super::{Answer, Service};
use crate::api::audit::{Head, List, Listing};
use crate::audit::SignedHead;
use crate::errors;
use crate::problem::{Problem, Problems};
use crate::worker::Worker;

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, request: List) -> Result<Listing, Problems> {
        let after = match request.after {
            Some(after) => after,
            None => self.trail.last().await?.saturating_sub(request.limit.into()),
        };
        // Texts within JSON grow by their quotes: an entry has some, and nothing else that is escaped.
        let bytes_max = self.connection.payload_bytes_max() / 4;
        let found = self.trail.read(after, request.limit, bytes_max).await?;
        let texts = found.into_iter().map(|entry| String::from_utf8(entry.into()));
        let entries: Result<_, _> = texts.collect();
        let entries = entries.map_err(|_| {
            let message = format!("an entry of the audit trail behind {after} is not UTF-8");
            Problem::new(errors::DAMAGED_RECORD, message)
                .help("look at it with `nats stream get millstream-audit`")
        })?;
        Ok(Listing { entries })
    }
}

impl<W: Worker> Answer<Head> for Service<W> {
    async fn answer(&self, request: Head) -> Result<SignedHead, Problems> {
        Ok(self.trail.head(request.after).await?)
    }
}
