//! `dlq.*`.

use super::{Answer, Service};
use crate::api::dead_letters;
use crate::dead_letters::Inputs;
use crate::manifest::Document;
use crate::problem::Problems;
use crate::worker::Worker;

impl<W: Worker> Answer<dead_letters::List> for Service<W> {
    async fn answer(&self, request: dead_letters::List) -> Result<dead_letters::Listing, Problems> {
        Ok(self.dead_letters.list(&request).await?)
    }
}

impl<W: Worker> Answer<dead_letters::Show> for Service<W> {
    async fn answer(
        &self,
        request: dead_letters::Show,
    ) -> Result<dead_letters::DeadLetter, Problems> {
        Ok(self.dead_letters.show(request.sequence).await?)
    }
}

impl<W: Worker> Answer<dead_letters::Redrive> for Service<W> {
    async fn answer(
        &self,
        request: dead_letters::Redrive,
    ) -> Result<dead_letters::Handled, Problems> {
        // Only a pipeline that exists reads what is redriven, and only into the inputs that it has.
        let record = self.pipelines.require(&request.letters.pipeline).await?.record;
        let inputs = Inputs::of(&Document::parse(&record.file, &record.manifest)?);
        Ok(self.dead_letters.redrive(&request.letters, request.limit, &inputs).await?)
    }
}

impl<W: Worker> Answer<dead_letters::Drop> for Service<W> {
    async fn answer(&self, request: dead_letters::Drop) -> Result<dead_letters::Handled, Problems> {
        Ok(self.dead_letters.drop_letters(&request.letters, request.limit).await?)
    }
}
