//! `logs.*`.

use super::{Answer, Service};
use crate::api::logs::{Last, Lines, LogLine};
use crate::problem::Problems;
use crate::worker::Worker;

impl<W: Worker> Answer<Last> for Service<W> {
    async fn answer(&self, request: Last) -> Result<Lines, Problems> {
        let stage = match request.stage {
            Some(stage) => Some(self.stage(&request.pipeline, Some(stage)).await?),
            None => {
                self.pipelines.require(&request.pipeline).await?;
                None
            }
        };
        let lines = self.peers.logs(&request.pipeline, stage.as_deref(), request.limit).await;
        let room = self.connection.payload_bytes_max() / 2;
        Ok(Lines { lines: newest_within(lines, room) })
    }
}

/// The newest lines whose JSON has at most so many bytes.
pub(super) fn newest_within(mut lines: Vec<LogLine>, bytes_max: usize) -> Vec<LogLine> {
    let mut bytes = 0;
    let fit = lines.iter().rev().take_while(|line| {
        bytes += serde_json::to_string(line).map_or(usize::MAX, |json| json.len() + 1);
        bytes <= bytes_max
    });
    let fit = fit.count();
    lines.drain(..lines.len() - fit);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_the_newest_lines_that_fit() {
        let line = |number| LogLine {
            number,
            at_ms: 0,
            stage: "s".into(),
            level: "info".into(),
            message: "m".into(),
        };
        let lines: Vec<LogLine> = (0..5).map(line).collect();
        let one = serde_json::to_string(&lines[0]).unwrap().len() + 1;
        let numbers = |bytes_max| {
            newest_within(lines.clone(), bytes_max)
                .iter()
                .map(|line| line.number)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(one * 3), [2, 3, 4]);
        assert_eq!(numbers(one * 3 - 1), [3, 4]);
        assert_eq!(numbers(0), [0; 0]);
        assert_eq!(numbers(usize::MAX).len(), 5);
    }
}
