//! Where a reader hands over what it has read: the partitions of one stage that are here.

use tokio::sync::mpsc;

use crate::input::Chunk;
use crate::router::Router;

/// One sender per partition; none for those that are elsewhere.
#[derive(Clone)]
pub struct Lanes(Vec<Option<mpsc::Sender<Chunk>>>);

impl Lanes {
    /// Of a stage with so many partitions.
    pub fn new(
        partitions: u16,
        here: impl IntoIterator<Item = (u16, mpsc::Sender<Chunk>)>,
    ) -> Self {
        let mut lanes = vec![None; usize::from(partitions)];
        for (partition, lane) in here {
            lanes[usize::from(partition)] = Some(lane);
        }
        Self(lanes)
    }

    /// How many partitions the stage has.
    pub fn partitions(&self) -> u16 {
        self.0.len() as u16
    }

    /// Tells the router which partitions nothing is kept for.
    pub fn left_out(&self, router: &mut Router) {
        for (partition, _) in (0..).zip(&self.0).filter(|(_, lane)| lane.is_none()) {
            router.leave_out(partition);
        }
    }

    /// Hands each partition its chunk. One that has stopped is left out from now on; `false`: all have.
    pub async fn hand_over(&mut self, chunks: Vec<Chunk>, router: &mut Router) -> bool {
        for ((partition, lane), chunk) in (0..).zip(&mut self.0).zip(chunks) {
            let Some(sender) = lane else { continue };
            if sender.send(chunk).await.is_err() {
                *lane = None;
                router.leave_out(partition);
            }
        }
        self.0.iter().any(Option::is_some)
    }
}
