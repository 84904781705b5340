//! The transport over TCP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{self, Call, Failure};
use crate::transport::{CallError, Lane, MAX_MESSAGE, Transport};

/// How many calls may wait for a connection to take them.
const QUEUE: usize = 1024;

type Lanes = HashMap<(SocketAddr, Lane), mpsc::Sender<Call>>;

/// Connections to peers, made when they are needed and closed when they are not.
pub struct Network {
    source: IpAddr,
    lanes: Mutex<Lanes>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Network {
    /// A network whose connections come from `source`, which may be unspecified, and end when
    /// `stop` is cancelled.
    #[must_use]
    pub fn new(source: IpAddr, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { source, lanes: Mutex::default(), tasks: TaskTracker::new(), stop })
    }

    /// Waits until all connections have ended, after `stop` was cancelled.
    pub async fn shutdown(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lane(&self, peer: SocketAddr, lane: Lane) -> mpsc::Sender<Call> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = lanes.get(&(peer, lane)).filter(|open| !open.is_closed()) {
            return open.clone();
        }
        lanes.retain(|_, open| !open.is_closed());
        let (sender, calls) = mpsc::channel(QUEUE);
        let (source, stop) = (self.source, self.stop.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(connection::run(source, peer, lane, calls)).await;
        });
        lanes.insert((peer, lane), sender.clone());
        sender
    }

    async fn attempt(&self, peer: SocketAddr, lane: Lane, request: Bytes) -> Result<Bytes, Failure> {
        let (answer, answered) = oneshot::channel();
        let call = Call { request, answer };
        // A lane may close for want of use in this very moment; the next one is new.
        if let Err(mpsc::error::SendError(call)) = self.lane(peer, lane).send(call).await {
            let stopping = |_| Failure::Unreachable("this agent is stopping".to_owned());
            self.lane(peer, lane).send(call).await.map_err(stopping)?;
        }
        // It may have been sent before this agent was stopped.
        answered.await.unwrap_or_else(|_| Err(Failure::Broken("this agent is stopping".to_owned())))
    }
}

#[async_trait]
impl Transport for Network {
    async fn call(
        &self,
        peer: SocketAddr,
        lane: Lane,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, CallError> {
        if request.len() > MAX_MESSAGE {
            return Err(CallError::TooLarge { peer, size: request.len() });
        }
        match tokio::time::timeout(limit, self.attempt(peer, lane, request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failure::Unreachable(reason))) => Err(CallError::Unreachable { peer, reason }),
            Ok(Err(Failure::Broken(reason))) => Err(CallError::Broken { peer, reason }),
            Ok(Err(Failure::Oversized(size))) => Err(CallError::TooLarge { peer, size }),
            Err(_) => Err(CallError::TimedOut { peer, limit }),
        }
    }
}
