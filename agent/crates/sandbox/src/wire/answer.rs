//! The answer to a request over HTTP, with the connection that it comes from.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A connection that has no task of its own: whoever waits for the answer, or for its body, drives
/// it. A run that goes on is woken once that way and not three times.
pub(crate) struct Connection(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

impl Connection {
    pub(super) fn new(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        Self(Some(Box::pin(connection)))
    }

    /// One that is driven elsewhere.
    pub(super) fn elsewhere() -> Self {
        Self(None)
    }

    /// Waits for the answer that this connection brings.
    pub(super) async fn answer<E>(
        mut self,
        asking: impl Future<Output = Result<http::Response<Incoming>, E>>,
    ) -> Result<http::Response<Answer>, E> {
        let mut asking = pin!(asking);
        let response = std::future::poll_fn(|cx| self.bring(cx, |cx| asking.as_mut().poll(cx))).await?;
        Ok(response.map(|body| Answer { body, connection: self }))
    }

    /// Goes on with something that needs the connection to go on as well.
    fn bring<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let ready = poll(cx);
        let Some(connection) = &mut self.0 else { return ready };
        // What goes wrong here shows on the request or on its body as well.
        if connection.as_mut().poll(cx).is_ready() {
            self.0 = None;
        }
        if ready.is_ready() { ready } else { poll(cx) }
    }
}

/// The body of an answer.
pub(crate) struct Answer {
    body: Incoming,
    connection: Connection,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body, connection } = self.get_mut();
        connection.bring(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
