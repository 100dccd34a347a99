//! What waits to be stored, in bounded memory.

use std::sync::Arc;

use ringfence_proto::agent::Batch;
use ringfence_store::{Arrivals, SourceKey, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::body::Machine;
use super::stats::{Stats, add, take};
use super::stream::Outlet;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Count and store a batch.
    Batch(Waiting),
    /// Store what was counted elsewhere.
    Ready(Ready),
    /// Say when everything before is done.
    Mark(oneshot::Sender<()>),
}

/// A batch of an agent.
pub(super) struct Waiting {
    pub(super) source: SourceKey,
    pub(super) machine: Machine,
    pub(super) incarnation: u64,
    pub(super) batch: Batch,
    /// Who waits for it to be stored.
    pub(super) outlet: Arc<Outlet>,
    pub(super) _room: Room,
}

/// Arrivals as they are.
pub(super) struct Ready {
    pub(super) arrivals: Arrivals,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
    pub(super) room: Room,
}

/// The way to the writer. Bytes are lent out and come back when a job is done.
pub(super) struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
    blocks: u32,
    stats: Arc<Stats>,
}

/// The part of the queue that a job takes, given back when it is dropped.
pub(super) struct Room {
    _permit: OwnedSemaphorePermit,
    bytes: u64,
    stats: Arc<Stats>,
}

/// The queue is counted in blocks of so many bytes.
const BLOCK: usize = 1024;

impl Queue {
    pub(super) fn new(bytes: usize, stats: Arc<Stats>) -> (Self, mpsc::UnboundedReceiver<Job>) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let blocks = u32::try_from(bytes / BLOCK).unwrap_or(u32::MAX).max(1);
        let room = Arc::new(Semaphore::new(blocks as usize));
        (Self { jobs, room, blocks, stats }, receiver)
    }

    /// Waits for room. More than the whole queue is taken as the whole queue, so that it comes to its turn.
    pub(super) async fn room(&self, bytes: usize) -> Option<Room> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).clamp(1, self.blocks);
        let permit = Arc::clone(&self.room).acquire_many_owned(blocks).await.ok()?;
        let bytes = bytes as u64;
        add(&self.stats.queued, 1);
        add(&self.stats.queued_bytes, bytes);
        Some(Room { _permit: permit, bytes, stats: Arc::clone(&self.stats) })
    }

    /// Puts a job at the end. `false`: the writer is gone.
    pub(super) fn put(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// Waits until everything that is in the queue now is done.
    pub(super) async fn drained(&self) {
        let (done, wait) = oneshot::channel();
        if self.put(Job::Mark(done)) {
            // A writer that ends has nothing left to do.
            let _ = wait.await;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        take(&self.stats.queued, 1);
        take(&self.stats.queued_bytes, self.bytes);
    }
}
