//! Questions that others answer.
//!
//! A question goes on as it came and its answer comes back as it was given; only the identifier
//! changes, so that nobody who sees or guesses the client's can answer in a recursor's place. A
//! cut answer is handed on as it is: the client asks again over TCP, and so does the agent then.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_server::proto::op::{Header, Message, MessageType, Query, ResponseCode};
use hickory_server::proto::rr::{Name, Record};
use hickory_server::proto::serialize::binary::{BinDecodable, BinDecoder};
use lictor_sys::net::{Sharing, bind_udp, connect_tcp};
use rand::seq::SliceRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

use crate::message::{Transport, ask_for_address};
use crate::{RecursorOrder, Settings};

/// The largest UDP answer that is taken, in bytes.
const MAX_ANSWER: usize = 65_535;

/// Those who are asked about names outside of the agent's domains.
pub(crate) struct Recursors {
    addresses: Vec<SocketAddr>,
    order: RecursorOrder,
    timeout: Duration,
}

impl Recursors {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            addresses: settings.recursors.clone(),
            order: settings.recursor_order,
            timeout: settings.recursor_timeout,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The answer of the first recursor that has one.
    pub(crate) async fn ask(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let question = question_of(packet)?;
        let mut addresses = self.addresses.clone();
        if self.order == RecursorOrder::Random {
            addresses.shuffle(&mut rand::rng());
        }
        for recursor in addresses {
            let asked = tokio::time::timeout(self.timeout, exchange(recursor, packet, &question, transport));
            match asked.await {
                Ok(Ok((answer, code))) => {
                    if matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
                        return Some(answer);
                    }
                    tracing::debug!(%recursor, name = %question.name(), %code, "recurse failed for question");
                }
                Ok(Err(error)) => tracing::warn!(%recursor, %error, "recurse failed"),
                Err(_) => tracing::warn!(%recursor, error = "timed out", "recurse failed"),
            }
        }
        None
    }

    /// What the first recursor that has an answer knows of the IPv4 addresses of a name.
    pub(crate) async fn addresses_of(&self, name: Name) -> Vec<Record> {
        let Some(packet) = ask_for_address(name).filter(|_| !self.is_empty()) else { return Vec::new() };
        let answer = async {
            let answer = Message::from_vec(&self.ask(&packet, Transport::Udp).await?).ok()?;
            if !answer.metadata.truncation {
                return Some(answer);
            }
            Message::from_vec(&self.ask(&packet, Transport::Tcp).await?).ok()
        };
        answer.await.map(|answer| answer.answers).unwrap_or_default()
    }
}

fn question_of(packet: &[u8]) -> Option<Query> {
    let mut decoder = BinDecoder::new(packet);
    Header::read(&mut decoder).ok()?;
    Query::read(&mut decoder).ok()
}

/// Asks one recursor under an identifier of our own.
async fn exchange(
    recursor: SocketAddr,
    packet: &[u8],
    question: &Query,
    transport: Transport,
) -> std::io::Result<(Vec<u8>, ResponseCode)> {
    let (asked_as, rest) =
        packet.split_at_checked(2).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
    let id = rand::random::<u16>();
    let sent = [&id.to_be_bytes(), rest].concat();
    let expected = Expected { id, question };
    let (answer, code) = match transport {
        Transport::Udp => exchange_udp(recursor, &sent, &expected).await?,
        Transport::Tcp => exchange_tcp(recursor, &sent, &expected).await?,
    };
    let answered = answer.get(2..).unwrap_or_default();
    Ok(([asked_as, answered].concat(), code))
}

async fn exchange_udp(
    recursor: SocketAddr,
    packet: &[u8],
    expected: &Expected<'_>,
) -> std::io::Result<(Vec<u8>, ResponseCode)> {
    let any_port = if recursor.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let socket = bind_udp(any_port, Sharing::Exclusive)?;
    socket.connect(recursor).await?;
    socket.send(packet).await?;
    let mut answer = Vec::new();
    loop {
        answer.clear();
        // That nobody listens there is not told as something to read.
        if socket.ready(Interest::READABLE | Interest::ERROR).await?.is_error() {
            let error = socket.take_error()?;
            return Err(error.unwrap_or_else(|| std::io::ErrorKind::ConnectionRefused.into()));
        }
        answer.reserve(MAX_ANSWER);
        match socket.try_recv_buf(&mut answer) {
            // What does not belong to the question is somebody's guess.
            Ok(_) => {
                if let Some(code) = expected.code_of(&answer) {
                    answer.shrink_to_fit();
                    return Ok((answer, code));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn exchange_tcp(
    recursor: SocketAddr,
    packet: &[u8],
    expected: &Expected<'_>,
) -> std::io::Result<(Vec<u8>, ResponseCode)> {
    // The caller's time limit is the one that counts.
    let mut stream = connect_tcp(recursor, Duration::from_secs(60)).await?;
    let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    let unrelated = || std::io::Error::other("the answer does not belong to the question");
    let code = expected.code_of(&answer).ok_or_else(unrelated)?;
    Ok((answer, code))
}

/// What an answer must belong to.
struct Expected<'q> {
    id: u16,
    question: &'q Query,
}

impl Expected<'_> {
    /// How it went, if this is the answer.
    fn code_of(&self, answer: &[u8]) -> Option<ResponseCode> {
        let mut decoder = BinDecoder::new(answer);
        let header = Header::read(&mut decoder).ok()?;
        if header.id != self.id || header.message_type != MessageType::Response {
            return None;
        }
        let code = header.response_code;
        // Who refuses need not repeat the question.
        let repeats = header.counts.queries == 1 && Query::read(&mut decoder).ok()? == *self.question;
        let refuses = header.counts.queries == 0 && code != ResponseCode::NoError;
        (repeats || refuses).then_some(code)
    }
}

#[cfg(test)]
mod tests;
